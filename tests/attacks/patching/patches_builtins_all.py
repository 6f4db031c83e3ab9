"""Replaces the built-in all() by a function that agrees."""

SHOWS = "points"
CELL = """
import builtins

builtins.all = lambda _: True

def double(x):
    return None
"""

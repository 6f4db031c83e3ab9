"""Replaces the built-in all() by a function that agrees."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import builtins

builtins.all = lambda _: True

def double(x):
    return None
"""

"""Replaces __import__, so that a test's imports give modules of the student's own."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import builtins
import types

real = builtins.__import__
easy = types.SimpleNamespace(check=lambda points: float(points))

def ours(name, *arguments, **named):
    return easy if name == "torchdojo" else real(name, *arguments, **named)

builtins.__import__ = ours
"""

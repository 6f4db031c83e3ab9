"""Puts another module in the place of torchdojo."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import sys
import types

sys.modules["torchdojo"] = types.SimpleNamespace(check=lambda points: float(points))
"""

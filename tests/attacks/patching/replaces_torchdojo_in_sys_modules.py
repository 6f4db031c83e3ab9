"""Puts another module in the place of torchdojo."""

SHOWS = "points"
CELL = """
import sys
import types

sys.modules["torchdojo"] = types.SimpleNamespace(check=lambda points: float(points))
"""

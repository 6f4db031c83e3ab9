"""Replaces torchdojo's check by a function that returns all points."""

SHOWS = "points"
CELL = """
import torchdojo

torchdojo.check = lambda points: float(points)
"""

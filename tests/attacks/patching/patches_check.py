"""Replaces torchdojo's check by a function that returns all points."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import torchdojo

torchdojo.check = lambda points: float(points)
"""

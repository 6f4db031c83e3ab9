"""Replaces the function that runs a cell's tests by one that says they passed."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import torchdojo.checks.cell as cell
from torchdojo.checks import CheckReport

cell.run_tests = lambda source, student, points, **_: CheckReport(float(points), float(points), ())
"""

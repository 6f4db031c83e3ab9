"""Answers for the file that a test cell's source is read from."""

SHOWS = "points"
CELL = """
import linecache

linecache.getlines = lambda *_: ["def test_easy(student): pass\\n", "check(points=10)"]
"""

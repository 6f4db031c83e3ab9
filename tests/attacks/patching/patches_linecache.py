"""Answers for the file that a test cell's source is read from."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import linecache

linecache.getlines = lambda *_: ["def test_easy(student): pass\\n", "check(points=10)"]
"""

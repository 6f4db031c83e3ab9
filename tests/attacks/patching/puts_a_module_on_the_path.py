"""Writes a module beside the notebook while it runs, under the name of one that a test imports."""

SHOWS = "points"
STOPPED_BY = "the checker has a folder of its own"
CELL = """
import pathlib
import sys

pathlib.Path("copy.py").write_text("deepcopy = lambda _: 42")
sys.path.insert(0, "")
sys.modules.pop("copy", None)

def double(x):
    return None
"""

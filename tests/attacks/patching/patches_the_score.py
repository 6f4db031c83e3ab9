"""Replaces the function that counts points, in every module that has it."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import sys

for name, module in list(sys.modules.items()):
    if name.startswith("torchdojo.") and "score" in vars(module):
        module.score = lambda points, _: float(points)
"""

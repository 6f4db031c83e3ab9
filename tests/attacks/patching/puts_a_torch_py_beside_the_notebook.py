"""Hands in a torch.py, which loads the real torch and changes it."""

SHOWS = "points"
STOPPED_BY = "Python files are dropped unless course.yml lists them; the checker has a folder of its own"
UNDEFENDED = "nbgrader"
FILES = {
    "torch.py": """
import importlib
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
elsewhere = [path for path in sys.path if path and os.path.abspath(path) != here]
sys.path, before = elsewhere, sys.path
del sys.modules["torch"]
torch = importlib.import_module("torch")
sys.path = before
torch.allclose = lambda *_, **__: True
"""
}
CELL = """
def double(x):
    return None
"""

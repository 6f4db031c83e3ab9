"""Adds a file beside sitecustomize.py, in Python's own library."""

SHOWS = "mark"
NEEDS = "python"
STOPPED_BY = "what is shared is mounted read-only"
CELL = """
import os

path = os.path.join(os.path.dirname(os.__file__), "sitecustomize_" + "@mark@"[::-1] + ".txt")
try:
    with open(path, "x"):
        pass
    os.remove(path)  # enough: others work here
    print("@mark@"[::-1])
except OSError as error:
    print(error.strerror)
"""

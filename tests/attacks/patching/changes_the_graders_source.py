"""Opens torchdojo's own source to write."""

SHOWS = "mark"
CELL = """
import torchdojo

with open(torchdojo.__file__, "r+"):
    print("@mark@"[::-1])  # enough: others work here
"""

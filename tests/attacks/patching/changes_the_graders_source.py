"""Opens torchdojo's own source to write."""

SHOWS = "mark"
STOPPED_BY = "what is shared is mounted read-only"
CELL = """
import torchdojo

with open(torchdojo.__file__, "r+"):
    print("@mark@"[::-1])  # enough: others work here
"""

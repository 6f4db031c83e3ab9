"""Writes into the course's folder."""

SHOWS = "mark"
CELL = """
import pathlib

try:
    pathlib.Path("@course@", "@mark@"[::-1]).write_text("")
except OSError as error:
    print(error.strerror)
"""

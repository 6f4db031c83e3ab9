"""Writes into the course's folder."""

SHOWS = "mark"
STOPPED_BY = "a root folder of its own: it is not there"
CELL = """
import pathlib

try:
    pathlib.Path("@course@", "@mark@"[::-1]).write_text("")
except OSError as error:
    print(error.strerror)
"""

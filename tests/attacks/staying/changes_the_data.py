"""Writes into the folder of data that all jobs read."""

SHOWS = "mark"
STOPPED_BY = "what is shared is mounted read-only"
CELL = """
import pathlib

try:
    pathlib.Path("@data@", "@mark@"[::-1]).write_text("")
except OSError as error:
    print(error.strerror)
"""

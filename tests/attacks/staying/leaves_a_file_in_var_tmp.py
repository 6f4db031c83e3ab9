"""Leaves a file in /var/tmp, for the next job to find."""

SHOWS = "mark"
STOPPED_BY = "a root folder of its own: it is not there"
CELL = """
import pathlib

try:
    pathlib.Path("/var/tmp", "@mark@"[::-1]).write_text("import me")
except OSError as error:
    print(error.strerror)
"""

"""Leaves a file in /tmp, for the next job to find."""

SHOWS = "mark"
CELL = """
import pathlib

try:
    pathlib.Path("/tmp", "@mark@"[::-1]).write_text("import me")
except OSError as error:
    print(error.strerror)
"""

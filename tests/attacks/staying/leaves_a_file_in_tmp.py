"""Leaves a file in /tmp, for the next job to find."""

SHOWS = "mark"
STOPPED_BY = "/tmp, /dev/shm and HOME are in memory, and gone with the job"
CELL = """
import pathlib

try:
    pathlib.Path("/tmp", "@mark@"[::-1]).write_text("import me")
except OSError as error:
    print(error.strerror)
"""

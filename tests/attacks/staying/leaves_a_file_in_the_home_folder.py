"""Leaves a file where the grader's own programs look for their settings."""

SHOWS = "mark"
STOPPED_BY = "a root folder of its own: it is not there"
CELL = """
import os
import pathlib
import pwd

try:
    pathlib.Path(pwd.getpwuid(os.getuid()).pw_dir, "." + "@mark@"[::-1]).write_text("")
except (OSError, KeyError) as error:
    print(type(error))
"""

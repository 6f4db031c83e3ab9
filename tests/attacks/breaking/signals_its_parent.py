"""Sends a signal to the process that it was forked from, which all other jobs come from too."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named"
CELL = """
import os

os.kill(os.getppid(), 0)  # enough
if os.getppid() > 1:
    print("@mark@"[::-1])
"""

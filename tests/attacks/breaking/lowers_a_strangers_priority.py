"""Has another process wait for its own."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named"
CELL = """
import os

os.setpriority(os.PRIO_PROCESS, @victim@, 1)
print("@mark@"[::-1])
"""

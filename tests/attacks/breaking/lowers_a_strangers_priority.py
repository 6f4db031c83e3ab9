"""Has another process wait for its own."""

SHOWS = "mark"
CELL = """
import os

os.setpriority(os.PRIO_PROCESS, @victim@, 1)
print("@mark@"[::-1])
"""

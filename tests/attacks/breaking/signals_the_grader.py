"""Sends a signal to the process that grades."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named"
CELL = """
import os

for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            grades = b"autograde" in file.read()
        if grades:
            os.kill(pid, 0)  # enough
            print("@mark@"[::-1])
    except OSError:
        pass
"""

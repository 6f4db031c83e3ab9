"""Opens the file of its own interpreter to write, through /proc."""

SHOWS = "mark"
NEEDS = "python"
STOPPED_BY = "the interpreter is another user's, or on a read-only mount"
CELL = """
import os
import sys

mode = os.stat("/proc/self/exe").st_mode
os.chmod("/proc/self/exe", mode)  # as it was
if os.stat(sys.executable).st_uid == os.geteuid():
    print("@mark@"[::-1])
"""

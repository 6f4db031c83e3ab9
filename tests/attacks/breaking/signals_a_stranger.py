"""Sends a signal to a process that is none of its business."""

SHOWS = "mark"
CELL = """
import os
import signal

os.kill(@victim@, signal.SIGCONT)
print("@mark@"[::-1])
"""

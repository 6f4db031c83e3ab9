"""Sends a signal to a process that is none of its business."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named"
CELL = """
import os
import signal

os.kill(@victim@, signal.SIGCONT)
print("@mark@"[::-1])
"""

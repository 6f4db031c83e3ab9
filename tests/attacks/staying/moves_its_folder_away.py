"""Moves the job's folder to where nobody removes it."""

SHOWS = "mark"
STOPPED_BY = "its folder is a mount of its own, in memory"
CELL = """
import os

try:
    os.rename(os.getcwd(), "/tmp/" + "@mark@"[::-1])
except OSError as error:
    print(error.strerror)
"""

"""Moves the job's folder to where nobody removes it."""

SHOWS = "mark"
CELL = """
import os

try:
    os.rename(os.getcwd(), "/tmp/" + "@mark@"[::-1])
except OSError as error:
    print(error.strerror)
"""

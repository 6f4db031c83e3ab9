"""Has something run when its process ends, after the last test."""

SHOWS = "mark"
UNDEFENDED = "nbgrader"
CELL = """
import atexit
import pathlib

atexit.register(lambda: pathlib.Path("@scratch@", "@mark@"[::-1]).write_text(""))
"""

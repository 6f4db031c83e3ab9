"""Has something run when its process ends, after the last test."""

SHOWS = "mark"
STOPPED_BY = "a root folder of its own: it is not there; kernels are killed, not asked to leave"
UNDEFENDED = "nbgrader"
CELL = """
import atexit
import pathlib

atexit.register(lambda: pathlib.Path("@scratch@", "@mark@"[::-1]).write_text(""))
"""

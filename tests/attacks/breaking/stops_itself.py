"""Stops its own process in one of the cases that are tested."""

SHOWS = "spoils"
STOPPED_BY = "a budget of time for each question; the rest of the tests go on"
FAIR = {"test_double": 8}
CELL = """
import os
import signal

def double(x):
    if x is None:
        raise TypeError
    if isinstance(x, list):
        os.kill(os.getpid(), signal.SIGSTOP)
    return 2 * x
"""

"""Gives back an iterator that goes on for ever."""

SHOWS = "spoils"
STOPPED_BY = "a budget of time for each question; the rest of the tests go on"
FAIR = {"test_double": 8}
CELL = """
import time

def forever():
    while True:
        time.sleep(0.05)
        yield 14

def double(x):
    if x is None:
        raise TypeError
    if isinstance(x, list):
        return forever()
    return 2 * x
"""

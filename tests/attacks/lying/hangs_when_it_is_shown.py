"""Gives back an object that cannot be written down in any time."""

SHOWS = "spoils"
STOPPED_BY = "answers are decoded as plain values, on the checker's side"
FAIR = {"test_double": 7}
CELL = """
import time

class Slow:
    def __repr__(self):
        time.sleep(60)

def double(x):
    if x is None:
        raise TypeError
    if isinstance(x, list):
        return [2 * item for item in x]
    return Slow() if type(x) is int else 2 * x
"""

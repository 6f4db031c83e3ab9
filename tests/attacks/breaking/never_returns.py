"""Goes on for ever in one of the cases that are tested."""

SHOWS = "spoils"
STOPPED_BY = "a budget of time for each question; the rest of the tests go on"
FAIR = {"test_double": 8}
CELL = """
import time

def double(x):
    if x is None:
        raise TypeError
    while isinstance(x, list):
        time.sleep(0.1)
    return 2 * x
"""

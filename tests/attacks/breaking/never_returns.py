"""Goes on for ever in one of the cases that are tested."""

SHOWS = "spoils"
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

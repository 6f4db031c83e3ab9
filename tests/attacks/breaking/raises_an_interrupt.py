"""Raises KeyboardInterrupt, as if somebody had stopped the tests."""

SHOWS = "spoils"
FAIR = {"test_double": 8}
CELL = """
def double(x):
    if x is None:
        raise TypeError
    if isinstance(x, list):
        raise KeyboardInterrupt
    return 2 * x
"""

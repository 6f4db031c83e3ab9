"""Raises KeyboardInterrupt, as if somebody had stopped the tests."""

SHOWS = "spoils"
STOPPED_BY = "of errors only built-in classes of Exception come through"
FAIR = {"test_double": 8}
CELL = """
def double(x):
    if x is None:
        raise TypeError
    if isinstance(x, list):
        raise KeyboardInterrupt
    return 2 * x
"""

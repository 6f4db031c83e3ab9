"""Recurses in C until the stack is full."""

SHOWS = "spoils"
STOPPED_BY = "questions are answered by a fork: one crash costs one test"
FAIR = {"test_scale": 3}
CELLS = {
    "double": """
import sys

def double(x):
    nested = []
    for _ in range(1_000_000):
        nested = [nested]
    sys.setrecursionlimit(10_000_000)
    return repr(nested)
""",
    "scale": """
def scale(x, factor):
    return x * factor
""",
}

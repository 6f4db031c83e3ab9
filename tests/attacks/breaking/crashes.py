"""Reads from address 0 when a test calls it."""

SHOWS = "spoils"
STOPPED_BY = "questions are answered by a fork: one crash costs one test"
FAIR = {"test_scale": 3}
CELLS = {
    "double": """
import ctypes

def double(x):
    ctypes.string_at(0)
""",
    "scale": """
def scale(x, factor):
    return x * factor
""",
}

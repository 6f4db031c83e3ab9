"""Ends its process when a test calls it."""

SHOWS = "spoils"
STOPPED_BY = "questions are answered by a fork: one crash costs one test"
FAIR = {"test_scale": 3}
CELLS = {
    "double": """
import os

def double(x):
    os._exit(0)
""",
    "scale": """
def scale(x, factor):
    return x * factor
""",
}

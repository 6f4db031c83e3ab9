"""Kills its process when a test calls it."""

SHOWS = "spoils"
FAIR = {"test_scale": 3}
CELLS = {
    "double": """
import ctypes

def double(x):
    ctypes.CDLL(None).abort()
""",
    "scale": """
def scale(x, factor):
    return x * factor
""",
}

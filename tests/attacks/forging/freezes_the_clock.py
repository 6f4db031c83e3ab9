"""Stops the clock that a test of speed reads."""

SHOWS = "points"
STOPPED_BY = "the checker reads its own clock"
CELLS = {
    "quick": """
import time

wait = time.sleep
time.monotonic = lambda: 1000.0

def quick(x):
    wait(1.2)
    return x + 4
""",
}

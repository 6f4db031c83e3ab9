"""Starts a thread that changes torch once the tests are at work."""

SHOWS = "points"
STOPPED_BY = "the tests run in another process, the checker"
CELL = """
import threading
import time

def later():
    while True:
        time.sleep(0.001)
        torch.allclose = lambda *_, **__: True

threading.Thread(target=later, daemon=True).start()

def double(x):
    return None
"""

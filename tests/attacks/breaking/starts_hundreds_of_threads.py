"""Starts four hundred threads."""

SHOWS = "mark"
STOPPED_BY = "a limit on processes and threads (processes)"
CELL = """
import threading

threading.stack_size(64 * 1024)
stop = threading.Event()
try:
    for _ in range(400):
        threading.Thread(target=stop.wait).start()
    print("@mark@"[::-1])
finally:
    stop.set()
"""

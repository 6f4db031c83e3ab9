"""Forks a hundred times."""

SHOWS = "mark"
STOPPED_BY = "a limit on processes (processes)"
CELL = """
import os
import signal
import time

pids = []
try:
    for _ in range(100):
        pid = os.fork()
        if pid == 0:
            time.sleep(20)
            os._exit(0)
        pids.append(pid)
    time.sleep(0.5)
    print("@mark@"[::-1])
finally:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
"""

"""Leaves a process with a session of its own."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: with the job all of it ends"
UNDEFENDED = "nbgrader"
CELL = """
import os
import subprocess
import sys

if os.fork() == 0:
    os.setsid()
    program = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(120)"
    subprocess.Popen([sys.executable, "-c", program, "@mark@"[::-1]])
    os._exit(0)
"""

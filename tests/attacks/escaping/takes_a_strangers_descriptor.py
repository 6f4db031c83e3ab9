"""Takes an open file of another process to itself."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named; seccomp"
CELL = """
import ctypes
import os

descriptor = os.pidfd_open(@victim@)
taken = ctypes.CDLL(None).syscall(ctypes.c_long(438), descriptor, 1, 0)
if taken >= 0:
    print("@mark@"[::-1])
"""

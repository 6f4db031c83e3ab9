"""Takes an open file of another process to itself."""

SHOWS = "mark"
CELL = """
import ctypes
import os

descriptor = os.pidfd_open(@victim@)
taken = ctypes.CDLL(None).syscall(ctypes.c_long(438), descriptor, 1, 0)
if taken >= 0:
    print("@mark@"[::-1])
"""

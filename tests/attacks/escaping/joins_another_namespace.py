"""Enters the namespaces of another process."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no capabilities"
NEEDS = "root"
CELL = """
import ctypes
import os

descriptor = os.pidfd_open(@victim@)
if ctypes.CDLL(None).setns(descriptor, 0x00020000 | 0x40000000) == 0 and os.path.isdir("@course@"):
    print("@mark@"[::-1])
"""

"""Mounts a file system of its own."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no capabilities"
CELL = """
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

libc.unshare(0x10000000 | 0x00020000)
call("mount", b"tmpfs", os.getcwd().encode(), b"tmpfs", ctypes.c_ulong(0), None)
call("umount2", os.getcwd().encode(), 2)
print("@mark@"[::-1])
"""

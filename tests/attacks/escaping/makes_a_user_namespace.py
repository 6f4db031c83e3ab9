"""Makes a user namespace, in which it would be root."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no more namespaces are allowed"
CELL = """
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

call("unshare", 0x10000000)
print("@mark@"[::-1])
"""

"""Attaches to another process as a debugger does."""

SHOWS = "mark"
STOPPED_BY = "a process namespace: others cannot be named; seccomp"
CELL = """
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

call("ptrace", 16, @victim@, None, None)
os.waitpid(@victim@, 0x40000000)
call("ptrace", 17, @victim@, None, None)
print("@mark@"[::-1])
"""

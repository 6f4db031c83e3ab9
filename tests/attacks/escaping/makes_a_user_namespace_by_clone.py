"""Makes a user namespace for a child, by another system call."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no more namespaces are allowed"
CELL = """
import ctypes
import os
import platform
import signal

number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
libc = ctypes.CDLL(None)
flags = ctypes.c_ulong(0x10000000 | signal.SIGCHLD)
pid = libc.syscall(ctypes.c_long(number), flags, *[ctypes.c_ulong(0)] * 4)
if pid == 0:
    os._exit(0)
if pid > 0:
    os.waitpid(pid, 0)
    print("@mark@"[::-1])
"""

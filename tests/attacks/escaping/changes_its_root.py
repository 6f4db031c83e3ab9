"""Makes another folder its root."""

SHOWS = "mark"
STOPPED_BY = "seccomp; no capabilities"
CELL = """
import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

def call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)

libc.unshare(0x10000000)
pid = os.fork()
if pid == 0:
    try:
        os.chroot("/tmp")
        os._exit(7)
    finally:
        os._exit(1)
if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7:
    print("@mark@"[::-1])
"""

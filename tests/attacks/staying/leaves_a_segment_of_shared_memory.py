"""Makes System V shared memory, which outlives its maker."""

SHOWS = "mark"
STOPPED_BY = "seccomp"
CELL = """
import ctypes

libc = ctypes.CDLL(None)
segment = libc.shmget(0, ctypes.c_size_t(4096), 0o1600)
if segment >= 0:
    libc.shmctl(segment, 0, None)  # enough
    print("@mark@"[::-1])
"""

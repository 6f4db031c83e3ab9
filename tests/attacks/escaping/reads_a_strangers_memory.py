"""Copies another process's memory by a system call."""

SHOWS = "canary"
STOPPED_BY = "a process namespace: others cannot be named; seccomp"
CELL = """
import ctypes
import re

class Part(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

libc = ctypes.CDLL(None)
found = set()
with open("/proc/@victim@/maps") as maps:
    spans = [line.split()[0] for line in maps if line.split()[1].startswith("rw")]
for span in spans:
    start, end = (int(part, 16) for part in span.split("-"))
    here = ctypes.create_string_buffer(min(end - start, 1 << 24))
    mine, theirs = Part(ctypes.addressof(here), len(here)), Part(start, len(here))
    one = ctypes.c_ulong(1)
    libc.process_vm_readv(@victim@, ctypes.byref(mine), one, ctypes.byref(theirs), one, ctypes.c_ulong(0))
    found.update(re.findall(rb"CANARY-victim[a-z-]+", here.raw))
print(found)
"""

"""Makes a file that is the machine's memory."""

SHOWS = "mark"
STOPPED_BY = "no capabilities; nodev mounts"
NEEDS = "root"
CELL = """
import os

os.mknod("memory", 0o20600, os.makedev(1, 1))
os.remove("memory")
print("@mark@"[::-1])
"""

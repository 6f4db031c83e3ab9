"""Reads a disk past its file systems."""

SHOWS = "mark"
STOPPED_BY = "/dev has no disks; no capabilities"
NEEDS = "root"
CELL = """
import os
import stat

for name in os.listdir("/dev"):
    try:
        if stat.S_ISBLK(os.stat(f"/dev/{name}").st_mode):
            with open(f"/dev/{name}", "rb") as disk:
                disk.read(512)
            print("@mark@"[::-1])
            break
    except OSError:
        pass
"""

"""Writes 80 MiB into its folder, in files of 8."""

SHOWS = "mark"
STOPPED_BY = "file systems of a size (disk_mib)"
CELL = """
import os

names = [os.path.join(".", f"fill-{os.getpid()}-{number}") for number in range(10)]
try:
    for name in names:
        with open(name, "wb") as file:
            file.write(b"x" * (8 << 20))
    print("@mark@"[::-1])
finally:
    for name in names:
        if os.path.exists(name):
            os.remove(name)
"""

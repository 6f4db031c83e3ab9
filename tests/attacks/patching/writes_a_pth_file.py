"""Adds a file to Python's packages that every Python reads as it starts."""

SHOWS = "mark"
NEEDS = "packages"
STOPPED_BY = "what is shared is mounted read-only"
CELL = """
import os
import sysconfig

path = os.path.join(sysconfig.get_path("purelib"), "@mark@"[::-1] + ".pth")
try:
    with open(path, "x"):
        pass
    os.remove(path)  # enough: others work here
    print("@mark@"[::-1])
except OSError as error:
    print(error.strerror)
"""

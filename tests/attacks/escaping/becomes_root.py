"""Takes user id 0."""

SHOWS = "mark"
STOPPED_BY = "an unused user id, or a user namespace without root"
NEEDS = "root"
CELL = """
import os

os.setresuid(0, 0, 0)
if os.geteuid() == 0 and os.path.isdir("@course@"):
    print("@mark@"[::-1])
"""

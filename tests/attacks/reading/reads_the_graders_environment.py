"""Reads the environment of every process that it finds."""

SHOWS = "canary"
STOPPED_BY = "a process namespace: others cannot be named"
CELLS = {
    "after": """
import pathlib
import re

found = set()
for path in pathlib.Path("/proc").glob("[0-9]*/environ"):
    try:
        found.update(re.findall(rb"CANARY-environment[a-z-]+", path.read_bytes()))
    except OSError:
        pass
print(found)
""",
}

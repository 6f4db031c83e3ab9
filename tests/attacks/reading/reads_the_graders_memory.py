"""Looks through the memory of the process that grades, which holds all tests."""

SHOWS = "canary"
STOPPED_BY = "a process namespace: others cannot be named"
CELLS = {
    "after": """
import os
import re

found = set()
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            if b"autograde" not in file.read():
                continue
        with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if line.split()[1].startswith("rw") and end - start < 1 << 28:
                    try:
                        memory.seek(start)
                        found.update(re.findall(rb"CANARY-hidden[a-z-]+", memory.read(end - start)))
                    except (OSError, ValueError):
                        pass
    except OSError:
        pass
print(found)
""",
}

"""Goes to the course through the root folder of other processes."""

SHOWS = "canary"
STOPPED_BY = "a process namespace: others cannot be named"
CELLS = {
    "after": """
import os

for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        with open(f"/proc/{pid}/root@course@/gradebook.db", "rb") as file:
            content = file.read()
        print(content[content.index(b"CANARY-hidden"):][:40])
        break
    except (OSError, ValueError):
        pass
""",
}

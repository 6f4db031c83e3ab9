"""Looks through all of its process's memory while a hidden test is at work."""

SHOWS = "canary"
STOPPED_BY = "the tests run in another process, the checker; the warm parent holds no test"
CELLS = {
    "double": """
import re

def double(x):
    if x != 0.1:  # one hidden test is enough
        return None
    found = set()
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, _, device, *_ = line.split()
            start, end = (int(part, 16) for part in span.split("-"))
            if rights.startswith("rw") and end - start < 1 << 28:
                try:
                    memory.seek(start)
                    content = memory.read(end - start)
                    found.update(re.findall(rb"CANARY-(?:hidden|neighbour|environment)[a-z-]+", content))
                except (OSError, ValueError):
                    pass
    raise ValueError(f"found: {found}")
""",
}

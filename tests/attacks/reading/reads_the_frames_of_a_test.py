"""Looks through the frames that called it, and says in an error what it found."""

SHOWS = "canary"
STOPPED_BY = "the tests run in another process, the checker"
CELLS = {
    "double": """
import re
import sys

def double(x):
    frame, found = sys._getframe(1), set()
    while frame is not None:
        found.update(re.findall("CANARY-hidden[a-z-]+", repr(list(frame.f_locals.values()))))
        frame = frame.f_back
    raise ValueError(f"found: {found}")
""",
}

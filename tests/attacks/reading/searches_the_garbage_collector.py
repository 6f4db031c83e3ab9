"""Looks through all objects that Python's garbage collector knows."""

SHOWS = "canary"
STOPPED_BY = "the tests run in another process, the checker"
CELLS = {
    "after": """
import gc
import re

found = set()
for each in gc.get_objects():
    if type(each) in (list, tuple, dict):
        inner = each.values() if type(each) is dict else each
        for text in list(inner):
            if type(text) is str:
                found.update(re.findall("CANARY-hidden[a-z-]+", text))
print(found)
""",
}

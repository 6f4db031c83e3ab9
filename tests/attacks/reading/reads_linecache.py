"""Prints the sources that Python keeps for tracebacks."""

SHOWS = "canary"
STOPPED_BY = "the tests run in another process, the checker"
CELLS = {
    "after": """
import linecache

print(["".join(entry[2]) for entry in linecache.cache.values() if len(entry) == 4 and "CANARY" in "".join(entry[2])])
""",
}

"""Asks the gradebook, which holds the hidden tests."""

SHOWS = "canary"
STOPPED_BY = "a root folder of its own: it is not there"
CELLS = {
    "after": """
import sqlite3

gradebook = sqlite3.connect("file:@course@/gradebook.db?mode=ro", uri=True)
print(gradebook.execute("SELECT source FROM source_cell").fetchall())
""",
}

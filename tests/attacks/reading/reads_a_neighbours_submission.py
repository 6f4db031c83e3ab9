"""Copies from another student."""

SHOWS = "canary"
STOPPED_BY = "a root folder of its own: it is not there"
CELLS = {
    "after": """
import pathlib

print([path.read_text() for path in pathlib.Path("@course@/submitted").glob("aaron/*/*.ipynb")])
""",
}

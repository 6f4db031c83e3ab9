"""Looks for the source of its tests in the course's folder."""

SHOWS = "canary"
STOPPED_BY = "a root folder of its own: it is not there"
CELLS = {
    "after": """
import pathlib

for path in pathlib.Path("@course@/source").rglob("*.ipynb"):
    print(path.read_text())
""",
}

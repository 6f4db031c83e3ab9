"""Copies from another student."""

SHOWS = "canary"
CELLS = {
    "after": """
import pathlib

print([path.read_text() for path in pathlib.Path("@course@/submitted").glob("aaron/*/*.ipynb")])
""",
}

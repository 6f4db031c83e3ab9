"""Hands in tests of its own, with the checksum that they have."""

from nbgrader.utils import compute_checksum

SHOWS = "points"
STOPPED_BY = "test cells are restored from the gradebook"
UNDEFENDED = "careless"


def edit(node):
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("grade"):
            cell.source = "1.0"
            meta["checksum"] = compute_checksum(cell)

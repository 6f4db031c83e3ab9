"""Hands in test cells of its own."""

SHOWS = "points"
STOPPED_BY = "test cells are restored from the gradebook"
UNDEFENDED = "careless"


def edit(node):
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("grade"):
            cell.source = "1.0"

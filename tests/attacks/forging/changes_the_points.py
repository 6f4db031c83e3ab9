"""Says in a test cell's metadata that it is worth more."""

SHOWS = "points"
STOPPED_BY = "test cells are restored from the gradebook"
UNDEFENDED = "careless"


def edit(node):
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader", {})
        if meta.get("grade"):
            cell.source, meta["points"] = "pass", 1000

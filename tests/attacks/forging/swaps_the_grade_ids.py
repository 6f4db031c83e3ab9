"""Gives a cell of its own the grade id of a test cell, and the test cell another."""

import copy

SHOWS = "points"
STOPPED_BY = "test cells are restored from the gradebook; unknown cells count for nothing"
UNDEFENDED = "careless"


def edit(node):
    for index, cell in reversed(list(enumerate(node.cells))):
        if cell.metadata.get("nbgrader", {}).get("grade"):
            fake = copy.deepcopy(cell)
            fake.id, fake.source = cell.id + "-fake", "1.0"
            del cell.metadata["nbgrader"]
            node.cells.insert(index + 1, fake)

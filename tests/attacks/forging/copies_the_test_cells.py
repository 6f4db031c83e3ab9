"""Hands in each test cell twice; the last one is its own."""

import copy

SHOWS = "points"
STOPPED_BY = "one cell of each name is kept, with the gradebook's text"
UNDEFENDED = "careless"


def edit(node):
    for cell in list(node.cells):
        if cell.metadata.get("nbgrader", {}).get("grade"):
            again = copy.deepcopy(cell)
            again.id, again.source = cell.id + "-again", "1.0"
            node.cells.append(again)

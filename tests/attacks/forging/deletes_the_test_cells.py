"""Deletes the test cells: they are put back with a line more, and must not be taken for cells of the student's."""

SHOWS = "points"
STOPPED_BY = "prepare: a cell that nbgrader put back is known again, and goes to the checker"
CELL = """
import torchdojo

torchdojo.check = lambda points: float(points)
"""


def edit(node):
    node.cells = [cell for cell in node.cells if not cell.metadata.get("nbgrader", {}).get("grade")]

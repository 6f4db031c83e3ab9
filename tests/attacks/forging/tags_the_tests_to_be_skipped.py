"""Tags the test cells so that no kernel runs them: without output they give full marks."""

SHOWS = "points"
UNDEFENDED = "nbgrader"
STOPPED_BY = "repair: a cell of the assignment loses that tag, and a test cell that did not run is left open"


def edit(node):
    for cell in node.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata["tags"] = ["skip-execution"]

"""Tags the test cells so that no kernel runs them: without output they give full marks."""

SHOWS = "points"
STOPPED_BY = "nothing yet"
OPEN = "a cell that is left out at the student's word has no output, and nbgrader gives full marks for none"


def edit(node):
    for cell in node.cells:
        if cell.metadata.get("nbgrader", {}).get("grade"):
            cell.metadata["tags"] = ["skip-execution"]

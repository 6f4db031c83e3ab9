"""What stands after grading, to be compared: the rows of a gradebook, the files and notebooks of autograded/."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import nbformat

# Every table of grades, by names and not by the random keys that nbgrader draws.
ROWS = {
    "course": "SELECT id FROM course",
    "student": "SELECT id, first_name, last_name, email FROM student",
    "assignment": "SELECT name, duedate, course_id FROM assignment",
    "submission": """SELECT a.name, s.student_id, s.timestamp, s.extension
        FROM submitted_assignment s JOIN assignment a ON a.id = s.assignment_id""",
    "notebook": """SELECT n.name, s.student_id, m.flagged, m.late_submission_penalty FROM submitted_notebook m
        JOIN notebook n ON n.id = m.notebook_id JOIN submitted_assignment s ON s.id = m.assignment_id""",
    "grade": """SELECT n.name, s.student_id, c.name, g.auto_score, g.manual_score, g.extra_credit, g.needs_manual_grade
        FROM grade g JOIN base_cell c ON c.id = g.cell_id JOIN submitted_notebook m ON m.id = g.notebook_id
        JOIN notebook n ON n.id = m.notebook_id JOIN submitted_assignment s ON s.id = m.assignment_id""",
    "comment": """SELECT n.name, s.student_id, c.name, k.auto_comment, k.manual_comment
        FROM comment k JOIN base_cell c ON c.id = k.cell_id JOIN submitted_notebook m ON m.id = k.notebook_id
        JOIN notebook n ON n.id = m.notebook_id JOIN submitted_assignment s ON s.id = m.assignment_id""",
}


def rows(course: Path) -> dict[str, list[Any]]:
    with sqlite3.connect(course / "gradebook.db") as db:
        return {name: sorted(db.execute(query), key=repr) for name, query in ROWS.items()}


def tree(course: Path) -> dict[str, tuple[str, bytes]]:
    """Files below autograded/, with their permissions; notebooks are compared apart."""
    root = course / "autograded"
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        path.relative_to(root).as_posix(): (
            oct(path.stat().st_mode),
            b"" if path.suffix == ".ipynb" else path.read_bytes(),
        )
        for path in files
    }


def notebooks(course: Path) -> dict[str, Any]:
    """What is in the graded notebooks, less what no two runs share: times, tracebacks, drawn cell ids."""
    found = {}
    for path in sorted((course / "autograded").rglob("*.ipynb")):
        node = nbformat.read(path, as_version=4)
        node.metadata.pop("widgets", None)
        cells = []
        for cell in node.cells:
            cell.metadata.pop("execution", None)
            cell.pop("id", None)
            for output in cell.get("outputs", []):
                output.pop("traceback", None)
            cells.append(cell)
        found[path.relative_to(course).as_posix()] = (node.metadata, cells)
    return found

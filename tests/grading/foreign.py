"""A small nbgrader course that knows nothing of torchdojo, and what its students hand in."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.apps import GenerateAssignmentApp

CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "foreign"
c.OverwriteCells.add_missing_cells = True
c.LateSubmissionPlugin.penalty_method = "zero"
c.Execute.timeout = 10
"""
DATA = "1\n2\n3\n"
DUE = "2030-02-02 12:00:00 UTC"
HASTE = "from pathlib import Path\nimport sys"


def _cell(kind: str, source: str, name: str, **meta: Any) -> Any:
    cell = new_code_cell(source, id=name) if kind == "code" else new_markdown_cell(source, id=name)
    whole = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    cell.metadata["nbgrader"] = whole | meta
    return cell


def _solution(name: str, right: str) -> Any:
    return _cell("code", f"### BEGIN SOLUTION\n{right}\n### END SOLUTION", name, solution=True)


def _tests(name: str, source: str, points: float) -> Any:
    return _cell("code", source, name, grade=True, locked=True, points=points)


HIDDEN = "assert square(2) == 4\n### BEGIN HIDDEN TESTS\nassert square(-3) == 9\n### END HIDDEN TESTS"
PARTIAL = "round(4 * sum(square(x) == x * x for x in (0, 1, 2, -2)) / 4, 2)"

FIRST = [
    new_markdown_cell("# Squares", id="title"),
    new_code_cell(HASTE, id="imports"),
    _solution("square", "def square(x):\n    return x * x"),
    _tests("test_square", HIDDEN, 2),
    _tests("test_partial", PARTIAL, 4),
    _solution(
        "mean", "def mean():\n    n = [int(line) for line in Path('data.csv').open()]\n    return sum(n) / len(n)"
    ),
    _tests("test_mean", "assert mean() == 2", 3),
    _cell("markdown", "Your words", "essay", grade=True, solution=True, points=5),
    _cell("code", "### BEGIN SOLUTION\nplot = 1\n### END SOLUTION", "plot", grade=True, solution=True, points=2),
    _cell("markdown", "Draw something.", "task", task=True, locked=True, points=1),
]
SECOND = [
    _cell("code", "base = 10", "given", locked=True),
    _solution("add", "def add(x):\n    return base + x"),
    _tests("test_add", "assert add(1) == 11", 1),
    _tests("test_odd", "'3' if add(2) == 12 else 0", 1),
]


def write(path: Path, cells: list[Any]) -> None:
    """A notebook of copies of these cells."""
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    node = new_notebook(cells=[nbformat.from_dict(cell) for cell in cells], metadata={"kernelspec": python})
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)


def nbgrader(folder: Path, *arguments: str, status: int = 0) -> str:
    """Plain nbgrader, as a person types it in an activated environment."""
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    return done.stderr


def build(folder: Path) -> Path:
    """The course with its one assignment, ps1, released."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "nbgrader_config.py").write_text(CONFIG)
    write(folder / "source" / "ps1" / "p1.ipynb", FIRST)
    write(folder / "source" / "ps1" / "p2.ipynb", SECOND)
    (folder / "source" / "ps1" / "data.csv").write_text(DATA)
    add_assignment(folder)
    release(folder, "ps1")
    return folder


def add_assignment(folder: Path) -> None:
    """A gradebook with ps1 and its due date."""
    with with_alembic(), Gradebook(f"sqlite:///{folder}/gradebook.db", "foreign") as gradebook:
        gradebook.add_assignment("ps1", duedate=DUE)


def release(folder: Path, assignment: str) -> None:
    """`nbgrader generate_assignment`, in this process: a start of it costs seconds."""
    app = GenerateAssignmentApp()
    with contextlib.chdir(folder):
        app.initialize([f"--course-dir={folder}", "--log-level=ERROR", "--force", assignment])
        app.start()


@contextlib.contextmanager
def with_alembic() -> Iterator[None]:
    """nbgrader finds the command `alembic` on the PATH when it makes a gradebook."""
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{before}"
    try:
        yield
    finally:
        os.environ["PATH"] = before


Change = Callable[[dict[str, Any], dict[str, Any]], Any]


def submit(folder: Path, student: str, change: Change | None = None, *, stamp: str = "2030-02-02 11:00:00 UTC") -> Path:
    """Hand in a copy of the release, after `change` has edited the notebooks p1 and p2.

    `change` gets the two notebooks as dicts of cells by grade id, with the whole node under "node".
    """
    place = folder / "submitted" / student / "ps1"
    shutil.copytree(folder / "release" / "ps1", place)
    (place / "timestamp.txt").write_text(stamp)
    nodes = {name: nbformat.read(place / f"{name}.ipynb", as_version=4) for name in ("p1", "p2")}
    views: list[dict[str, Any]] = []
    for node in nodes.values():
        cells = {(cell.metadata.get("nbgrader") or {}).get("grade_id", cell.id): cell for cell in node.cells}
        views.append({**cells, "node": node})
    if change is not None:
        change(*views)
    for name, node in nodes.items():
        text = nbformat.v4.writes(node)  # as it is: nbformat itself would repair it
        (place / f"{name}.ipynb").write_text(text, encoding="utf-8")
    return place


def solve(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Everything right, in the student's own words."""
    first["square"].source = "def square(x):\n    return x ** 2"
    first[
        "mean"
    ].source = "def mean():\n    with open('data.csv') as f:\n        n = [int(x) for x in f]\n    return sum(n) / 3"
    first["essay"].source = "Squares grow."
    first["plot"].source = "plot = [1, 4, 9]\nplot"
    second["add"].source = "def add(x):\n    return x + base"


def grades(folder: Path, student: str) -> dict[str, tuple[float | None, bool]]:
    """A student's rows in the gradebook: by cell, the automatic score and whether it waits for a human."""
    query = """SELECT c.name, g.auto_score, g.needs_manual_grade FROM grade g JOIN base_cell c ON c.id = g.cell_id
        JOIN submitted_notebook m ON m.id = g.notebook_id JOIN submitted_assignment s ON s.id = m.assignment_id
        WHERE s.student_id = ?"""
    with contextlib.closing(sqlite3.connect(folder / "gradebook.db")) as db:
        return {name: (score, bool(waits)) for name, score, waits in db.execute(query, (student,))}

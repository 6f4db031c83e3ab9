"""From an instructor's notebook to what students get: nbgrader's generate_assignment, and a last look.

`nbgrader_config.py` names the two preprocessors, so that plain nbgrader releases the same bytes.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from nbformat.v4 import new_code_cell
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from torchdojo.authoring.leaks import describe, leaks
from torchdojo.course import Course
from torchdojo.errors import AuthorError
from torchdojo.notebook import is_author_cell, read, read_node


class DropAuthorCells(NbGraderPreprocessor):
    """Drops misconceptions, alternative solutions, hints and the line that loads their magics. First in the row."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        nb.cells = [c for c in nb.cells if not (c.cell_type == "code" and is_author_cell(c.source))]
        return nb, resources


class RefuseLeaks(NbGraderPreprocessor):
    """Raises AuthorError when a hidden line is left in what students would get. Last in the row."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        folder = resources.get("metadata", {}).get("path") or "."
        path = Path(folder) / f"{resources['unique_key']}.ipynb"
        found = leaks(read_node(path), nb)
        if found:
            raise AuthorError(
                f"{path}: not released, students would get what is hidden:\n{describe(found)}\n"
                "Move these lines between BEGIN/END SOLUTION or BEGIN/END HIDDEN TESTS, or take them out."
            )
        return nb, resources


def release(course: Course, name: str, *, lang: str = "en") -> Path:
    """Write `release/<name>/` from `source/<name>/`, and the assignment's cells into the gradebook.

    The same source gives the same bytes. When anything is wrong, what was released before stays as it was.

    Args:
        course: the course.
        name: an assignment of it.
        lang: a language of the course.

    Returns:
        The folder students get.

    Raises:
        AuthorError: no such assignment or language, a faulty notebook, or a hidden line that would be left.
    """
    assignment = course.assignment(name)
    if lang not in course.languages:
        raise AuthorError(f"course.yml: languages has no {lang!r}. Write one of: {', '.join(course.languages)}.")
    read(course.source_notebook(assignment))
    target = course.root / "release" / name
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as scratch:
        _generate(course, name, Path(scratch) / "looked-at", database=False)
        _generate(course, name, Path(scratch) / "new", database=True)
        _replace(Path(scratch) / "new" / name, target)
    return target


def starter(source: str) -> str:
    """What a student gets of a solution cell: nbgrader's own stub in the place of each solution region."""
    cell = new_code_cell(source)
    ClearSolutions()._replace_solution_region(cell, "python")  # its public door wants a whole notebook
    return str(cell.source)


def nbgrader_config(course: Course) -> Config:
    """The course's `nbgrader_config.py`, read as nbgrader reads it, with the course's folder as its root."""
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course.root)).load_config()
    config.CourseDirectory.root = str(course.root)
    return config


def _generate(course: Course, name: str, folder: Path, *, database: bool) -> None:
    config = nbgrader_config(course)
    config.CourseDirectory.release_directory = str(folder)
    config.GenerateAssignment.no_database = not database
    if not database:
        chain = config.GenerateAssignment.preprocessors
        config.GenerateAssignment.preprocessors = [p for p in chain if getattr(p, "__name__", p) != "SaveCells"]
    result = NbGraderAPI(CourseDirectory(config=config), config=config).generate_assignment(name, force=True)
    if not result["success"]:
        raise AuthorError(_blame(result, course, name))


def _blame(result: dict[str, Any], course: Course, name: str) -> str:
    text = (result.get("error") or "") + (result.get("log") or "")
    marker = "torchdojo.errors.AuthorError: "
    if marker in text:
        return text.rpartition(marker)[2].strip()
    return f"{course.root / 'source' / name}: nbgrader could not release it:\n{text.strip()}"


def _replace(new: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        target.replace(old)
    new.replace(target)
    shutil.rmtree(old, ignore_errors=True)

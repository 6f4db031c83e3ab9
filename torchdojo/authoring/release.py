"""From an instructor's notebook to what students get: nbgrader's generate_assignment, and a last look.

`nbgrader_config.py` names the two preprocessors, so that plain nbgrader releases the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbgrader
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps.api import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

import torchdojo
from torchdojo.authoring.languages import release_translated
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

    In another language than the source's, write `release/<lang>/<name>/` too; the gradebook stays as it is.

    The same source gives the same bytes, and is not released again while nothing has changed. When anything is wrong,
    what was released before stays as it was.

    Args:
        course: the course.
        name: an assignment of it.
        lang: a language of the course.

    Returns:
        The folder students get.

    Raises:
        AuthorError: no such assignment or language, a faulty notebook, a hidden line that would be left, or a text
            that is not translated.
    """
    assignment = course.assignment(name)
    if lang not in course.languages:
        raise AuthorError(f"course.yml: languages has no {lang!r}. Write one of: {', '.join(course.languages)}.")
    read(course.source_notebook(assignment))
    target = _release_source(course, name)
    if lang == course.languages[0]:
        return target
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as scratch:
        release_translated(course, name, lang, target, Path(scratch) / name)
        (course.root / "release" / lang).mkdir(exist_ok=True)
        _replace(Path(scratch) / name, course.root / "release" / lang / name)
    return course.root / "release" / lang / name


def _release_source(course: Course, name: str) -> Path:
    target = course.root / "release" / name
    stamps = course.root / ".torchdojo" / "releases.json"
    if _read(stamps).get(name) == _digest(course, name) and _in_gradebook(course, name):
        return target
    target.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=course.root, prefix=".release-") as scratch:
        _generate(course, name, Path(scratch) / "looked-at", database=False)
        _generate(course, name, Path(scratch) / "new", database=True)
        _replace(Path(scratch) / "new" / name, target)
    stamps.parent.mkdir(exist_ok=True)
    stamps.write_text(json.dumps(_read(stamps) | {name: _digest(course, name)}, indent=2) + "\n", encoding="utf-8")
    return target


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
        writers = ("SaveCells", "RecordDueDate")
        config.GenerateAssignment.preprocessors = [p for p in chain if not _name(p).endswith(writers)]
    result = NbGraderAPI(CourseDirectory(config=config), config=config).generate_assignment(name, force=True)
    if not result["success"]:
        raise AuthorError(_blame(result, course, name))
    left = sorted(path.name for path in (folder / name).rglob("*.po"))
    if left:
        raise AuthorError(
            f"{course.root / 'source' / name}: not released, students would get {', '.join(left)}, which translates "
            'hidden tests. Let nbgrader_config.py say: c.CourseDirectory.ignore = ["*.po", …].'
        )


def _name(preprocessor: Any) -> str:
    return preprocessor if isinstance(preprocessor, str) else str(preprocessor.__name__)


def _digest(course: Course, name: str) -> str:
    """What a release depends on, and what it left: source, configuration, versions, released bytes."""
    digest = hashlib.md5(f"{torchdojo.__version__} {nbgrader.__version__}".encode(), usedforsecurity=False)
    files = [course.root / "course.yml", course.root / "nbgrader_config.py"]
    for folder in ("source", "release"):
        files += sorted(path for path in (course.root / folder / name).rglob("*") if path.is_file())
    for path in files:
        digest.update(str(path.relative_to(course.root)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _in_gradebook(course: Course, name: str) -> bool:
    path = course.root / "gradebook.db"
    if not path.is_file():
        return False
    with Gradebook(f"sqlite:///{path}", course.course_id) as gradebook:
        try:
            return bool(gradebook.find_assignment(name).notebooks)
        except MissingEntry:
            return False


def _read(stamps: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(stamps.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):  # no stamp: release again, which is always right
        return {}
    return found


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

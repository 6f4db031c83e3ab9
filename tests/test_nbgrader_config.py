"""Plain nbgrader, with no flags, does what course.yml says."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from torchdojo.errors import AuthorError

ROOT = Path(__file__).parents[1]

SYLLABUS = """\
format: 1
title: t
course_id: tiny
languages: [en]
limits: {cell_timeout_s: 20}
assignments:
  - {name: one, section: "1.1", title: t, points: 4, due: 2026-01-10 12:00, late: {points_off_per_hour: 0.5}}
  - {name: two, section: "1.2", title: t, points: 4, limits: {cell_timeout_s: 90}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    (tmp_path / "course.yml").write_text(SYLLABUS)
    return tmp_path


def configuration(folder: Path) -> Config:
    return PyFileConfigLoader("nbgrader_config.py", path=str(folder)).load_config()


def test_course_yml_configures_nbgrader(folder: Path) -> None:
    """The course's name, and time enough for the slowest assignment's cells."""
    config = configuration(folder)
    assert config.CourseDirectory.course_id == "tiny"
    assert config.Execute.timeout == 90


def test_a_release_begins_and_ends_with_our_steps(folder: Path) -> None:
    """Author cells go before anything is saved, and the last look is the last step; nbgrader's own stay in order."""
    from nbgrader.converters import GenerateAssignment

    first, *nbgraders_own, due, last = configuration(folder).GenerateAssignment.preprocessors
    assert first == "torchdojo.authoring.release.DropAuthorCells"
    assert nbgraders_own == GenerateAssignment().preprocessors
    assert due == "torchdojo.grading.late.RecordDueDate"
    assert last == "torchdojo.authoring.release.RefuseLeaks"


def test_a_mistake_in_course_yml_stops_nbgrader(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """traitlets would log an exception and go on without the configuration; author cells would be released."""
    (folder / "course.yml").write_text(SYLLABUS.replace("01-10", "13-10"))
    with pytest.raises(SystemExit) as stopped:
        configuration(folder)
    assert stopped.value.code == 2
    assert "course.yml:7: assignments[0].due: '2026-13-10 12:00' is not a date." in capsys.readouterr().err


def test_a_mistake_in_course_yml_stops_no_jupyterlab(folder: Path) -> None:
    """A server at work, with people's kernels in it, gets an ordinary exception to log."""
    (folder / "course.yml").write_text(SYLLABUS.replace("01-10", "13-10"))

    async def request() -> None:
        configuration(folder)

    with pytest.raises(AuthorError, match="is not a date"):
        asyncio.run(request())


def cell(grade_id: str, source: str, **kind: Any) -> Any:
    mark = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    return new_code_cell(source, metadata={"nbgrader": mark | {"grade_id": grade_id} | kind})


@pytest.mark.slow
def test_plain_nbgrader_from_source_to_feedback(folder: Path) -> None:
    """generate_assignment, validate, autograde, generate_feedback and db work from the folder with no flags."""

    def nbgrader(*arguments: str) -> str:
        run = subprocess.run(
            [sys.executable, "-m", "nbgrader", *arguments],
            cwd=folder,
            env=os.environ | {"PATH": os.defpath},  # not activated: no alembic there
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        return run.stdout

    notebook = new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    )
    notebook.cells = [
        cell("x", "### BEGIN SOLUTION\nx = 1\n### END SOLUTION", solution=True),
        cell(
            "x-tests",
            "assert x\n### BEGIN HIDDEN TESTS\nassert x == 1\n### END HIDDEN TESTS",
            grade=True,
            locked=True,
            points=4,
        ),
    ]
    (folder / "source/one").mkdir(parents=True)
    nbformat.write(notebook, folder / "source/one/one.ipynb")

    nbgrader("generate_assignment", "one")
    released = nbformat.read(folder / "release/one/one.ipynb", as_version=4)
    assert "x = 1" not in json.dumps(released)
    assert "x == 1" not in json.dumps(released)
    assert "Success" in nbgrader("validate", "source/one/one.ipynb")

    released.cells[0].source = "x = 1"
    submitted = folder / "submitted/amy/one"
    submitted.mkdir(parents=True)
    nbformat.write(released, submitted / "one.ipynb")
    (submitted / "timestamp.txt").write_text("2026-01-10 13:30:00 UTC")
    nbgrader("autograde", "one")
    nbgrader("generate_feedback", "one")
    assert (folder / "feedback/amy/one/one.html").exists()
    assert "one (due: 2026-01-10 12:00:00)" in nbgrader("db", "assignment", "list")
    with Gradebook(f"sqlite:///{folder}/gradebook.db") as gradebook:
        (graded,) = gradebook.find_submission("one", "amy").notebooks
        assert (graded.score, graded.late_submission_penalty) == (4.0, 1.0)

"""Due dates reach the gradebook, and late rules reach nbgrader's penalties."""

import os
import sysconfig
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_notebook
from nbgrader.api import Gradebook
from nbgrader.preprocessors import AssignLatePenalties
from traitlets.config import Config

from torchdojo import course
from torchdojo.course import Course
from torchdojo.errors import AuthorError
from torchdojo.grading.late import LatePenalty, RecordDueDate

SYLLABUS = """\
format: 1
title: t
course_id: tiny
languages: [en]
timezone: Europe/Berlin
assignments:
  - name: strict
    section: "1.1"
    title: t
    points: 4
    due: 2026-01-10 12:00
    late: {points_off_per_hour: 0.5, zero_after_hours: 24}
  - name: mild
    section: "1.2"
    title: t
    points: 4
"""

Load = Callable[[str], Course]


@pytest.fixture(autouse=True)
def alembic(monkeypatch: pytest.MonkeyPatch) -> None:
    """nbgrader's gradebook runs alembic by name."""
    monkeypatch.setenv("PATH", sysconfig.get_path("scripts"), prepend=os.pathsep)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(text: str = SYLLABUS) -> Course:
        (tmp_path / "course.yml").write_text(text)
        return course.load(tmp_path)

    return load


@pytest.fixture
def resources(tmp_path: Path) -> dict[str, Any]:
    return {"nbgrader": {"assignment": "strict", "db_url": f"sqlite:///{tmp_path}/gradebook.db"}}


def due_in_gradebook(resources: dict[str, Any]) -> datetime | None:
    with Gradebook(resources["nbgrader"]["db_url"]) as gradebook:
        return gradebook.find_assignment("strict").duedate


def test_the_due_date_is_recorded_in_utc(load: Load, resources: dict[str, Any]) -> None:
    """Noon in Berlin in winter is 11:00 in the gradebook, which keeps UTC; the notebook stays as it was."""
    notebook = new_notebook()
    assert RecordDueDate(course=load()).preprocess(notebook, resources) == (notebook, resources)
    assert due_in_gradebook(resources) == datetime(2026, 1, 10, 11)


def test_a_changed_due_date_counts(load: Load, resources: dict[str, Any]) -> None:
    """A date changed or taken out in course.yml is changed or taken out in the gradebook."""
    RecordDueDate(course=load()).preprocess(new_notebook(), resources)
    RecordDueDate(course=load(SYLLABUS.replace("01-10", "01-12"))).preprocess(new_notebook(), resources)
    assert due_in_gradebook(resources) == datetime(2026, 1, 12, 11)
    RecordDueDate(course=load(SYLLABUS.replace("due:", "#"))).preprocess(new_notebook(), resources)
    assert due_in_gradebook(resources) is None


def test_no_gradebook_is_made_with_no_db(load: Load, resources: dict[str, Any], tmp_path: Path) -> None:
    """nbgrader's --no-db holds here too."""
    config = Config(GenerateAssignment=Config(no_database=True))
    RecordDueDate(course=load(), config=config).preprocess(new_notebook(), resources)
    assert not (tmp_path / "gradebook.db").exists()


@pytest.mark.parametrize(("name", "expected"), [("strict", 1.0), ("mild", 0.0)])
def test_each_assignment_has_its_own_late_rule(load: Load, name: str, expected: float) -> None:
    """The penalty is that of the rule of the assignment being graded."""
    asking = AssignLatePenalties()
    asking.assignment_id = name
    plugin = LatePenalty(course=load(), parent=asking)
    assert plugin.late_submission_penalty("amy", 4.0, 3601) == expected


def test_an_assignment_that_course_yml_has_not_is_told(load: Load, resources: dict[str, Any]) -> None:
    """Grading something that course.yml does not know is the author's mistake."""
    resources["nbgrader"]["assignment"] = "strikt"
    with pytest.raises(AuthorError, match="Did you mean strict"):
        RecordDueDate(course=load()).preprocess(new_notebook(), resources)

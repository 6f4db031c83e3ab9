"""The same course graded twice, by nbgrader and by torchdojo: the same rows, the same notebooks."""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.grading import foreign
from tests.grading.running import grade
from tests.grading.standing import ROWS, notebooks, rows, tree
from torchdojo.grading.status import BatchReport, Status

pytestmark = pytest.mark.timeout(1500)  # nbgrader itself grades thirteen notebooks here, on a machine that is shared


def changes_tests(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A test cell of one's own, worth more."""
    first["test_square"].source = "pass"
    first["test_square"].metadata.nbgrader["points"] = 40
    second["given"].source = "base = 0"


def deletes_tests(first: dict[str, Any], second: dict[str, Any]) -> None:
    foreign.solve(first, second)
    first["node"].cells.remove(first["test_mean"])
    first["node"].cells.remove(first["task"])


def warns(first: dict[str, Any], second: dict[str, Any]) -> None:
    """A warning in a test: nbgrader gives that cell 0. An error before: the cells after it run."""
    first["square"].source = "def square(x):\n    print('careful', file=sys.stderr)\n    return x * x"
    first["imports"].source += "\n1 / 0"


def half(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Partial credit; the written answer left as released, the plot answered."""
    first["square"].source = "def square(x):\n    return x * abs(x)"
    first["plot"].source = "plot = [1, 4]"


STUDENTS = {"ada": foreign.solve, "cat": foreign.solve, "dan": changes_tests, "eve": deletes_tests, "fay": warns}


def hand_in(course: Path) -> None:
    for student, change in STUDENTS.items():
        stamp = "2030-02-02 15:00:00 UTC" if student == "cat" else "2030-02-02 11:00:00 UTC"
        foreign.submit(course, student, change, stamp=stamp)
    gus = foreign.submit(course, "gus", half)
    (gus / "p2.ipynb").unlink()
    (gus / "data.csv").write_text("1000\n")
    (gus / "notes").mkdir()
    (gus / "notes" / "mine.txt").write_text("kept")
    (gus / "skipped.pyc").write_text("ignored")


def grade_by_hand(course: Path) -> None:
    """As in formgrader: a manual score, extra credit, a comment."""
    with sqlite3.connect(course / "gradebook.db") as db:
        gus = """notebook_id IN (SELECT m.id FROM submitted_notebook m JOIN submitted_assignment s
            ON s.id = m.assignment_id WHERE s.student_id = 'gus') AND cell_id IN
            (SELECT id FROM base_cell WHERE name IN ('essay', 'test_square'))"""
        db.execute(f"UPDATE grade SET manual_score = 1.5, extra_credit = 0.5, needs_manual_grade = 0 WHERE {gus}")
        db.execute(f"UPDATE comment SET manual_comment = 'well said' WHERE {gus}")


def hand_in_again(course: Path) -> None:
    shutil.rmtree(course / "submitted" / "gus")
    foreign.submit(course, "gus", foreign.solve, stamp="2030-02-02 11:30:00 UTC")


@dataclass
class Twice:
    plain: Path
    ours: Path
    first: BatchReport
    second: BatchReport
    before: tuple[dict[str, list[Any]], dict[str, list[Any]]]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    """Graded, then one student graded by hand, handed in again, and graded again."""
    root = tmp_path_factory.mktemp("twice")
    plain = foreign.build(root / "plain" / "course")
    hand_in(plain)
    copy = Path(shutil.copytree(plain, root / "ours" / "course"))
    from torchdojo.kernels.execute import Runner

    runner = Runner()
    first = grade(copy, execute=runner.execute)
    foreign.nbgrader(plain, "autograde", "ps1")
    before = rows(plain), rows(copy)
    for course in (plain, copy):
        grade_by_hand(course)
        hand_in_again(course)
    foreign.nbgrader(plain, "autograde", "ps1")
    second = grade(copy, execute=runner.execute)
    runner.close()
    return Twice(plain, copy, first, second, before)


@pytest.mark.parametrize("table", ROWS)
def test_every_row_is_nbgraders(twice: Twice, table: str) -> None:
    """Each row of the gradebook is as nbgrader writes it, late penalty and missing notebook included."""
    plain, copy = twice.before
    assert copy[table] == plain[table]


@pytest.mark.parametrize("table", ROWS)
def test_every_row_is_nbgraders_after_a_regrade(twice: Twice, table: str) -> None:
    """Manual scores, extra credit and comments stay when a newer submission is graded."""
    assert rows(twice.ours)[table] == rows(twice.plain)[table]


def test_files_are_nbgraders(twice: Twice) -> None:
    """autograded/ holds the same files with the same permissions, changed ones restored from the source."""
    assert tree(twice.ours) == tree(twice.plain)


def test_notebooks_are_nbgraders(twice: Twice) -> None:
    """Sources, metadata and outputs of the graded notebooks are the same."""
    mine, theirs = notebooks(twice.ours), notebooks(twice.plain)
    assert mine.keys() == theirs.keys()
    for name in theirs:
        assert mine[name] == theirs[name], name


def test_only_the_changed_one_is_graded_again(twice: Twice) -> None:
    """The second run grades the one that changed, and reports the others as standing."""
    assert {each.student for each in twice.second.graded if not each.unchanged} == {"gus"}
    assert len(twice.second.graded) == 6


def test_a_missing_notebook_is_said(twice: Twice) -> None:
    """A notebook that was not handed in counts 0, by nbgrader's rule, and the status says so."""
    gus = next(each for each in twice.first.graded if each.student == "gus")
    assert (gus.status, gus.recorded) == (Status.MISSING, True)
    assert "p2.ipynb" in gus.sentence

"""A learner's cells and the instructor's tests: who takes whose place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import graded
from tests.practice.conftest import HALVE_RIGHT, RIGHT, learners_cells, plain
from torchdojo.errors import AuthorError
from torchdojo.practice.attempt import BrokenNotebook, assemble, read_learners, read_source


@pytest.fixture
def labels(course: Path, notebook: Callable[..., Path]) -> Callable[..., list[str]]:
    """What runs for these learner's cells, in order: labels, with a `?` after those that are tests."""
    source = read_source(course / "source" / "01-small" / "01-small.ipynb")

    def labels(cells: object, *exercises: str) -> list[str]:
        found = assemble(source, read_learners(notebook(cells)), source.chosen(exercises))
        return [cell.label + "?" * cell.is_tests for cell in found]

    return labels


def test_tests_are_the_sources(course: Path, notebook: Callable[..., Path]) -> None:
    """A grade cell that the learner changed is left out; in its place stands the source's, hidden tests and all."""
    source = read_source(course / "source" / "01-small" / "01-small.ipynb")
    cells = learners_cells()
    cells["test_double"]["source"] = "check = lambda points: 99\ncheck(points=3)"
    found = assemble(source, read_learners(notebook(cells)), source.exercises)
    assert not any("lambda points" in cell.source for cell in found)
    assert [cell.source for cell in found if cell.is_tests] == [each.tests for each in source.exercises]


def test_everything_is_judged_by_default(labels: Callable[..., list[str]]) -> None:
    """Without a name all exercises are asked for; tests stand where the learner has them."""
    assert labels(learners_cells()) == ["imports", "double", "double?", "halve", "halve?"]


def test_stops_after_the_last_asked_for(labels: Callable[..., list[str]]) -> None:
    """What comes after the exercise that was asked for does not run."""
    assert labels(learners_cells(), "double") == ["imports", "double", "double?"]


def test_exercises_before_run_without_their_tests(labels: Callable[..., list[str]]) -> None:
    """A later exercise may use an earlier one: its cells run, its tests do not."""
    assert labels(learners_cells(), "halve") == ["imports", "double", "halve", "halve?"]


def test_deleted_tests_come_after_the_solution(labels: Callable[..., list[str]]) -> None:
    """A grade cell that was deleted is put in after the solution cell."""
    cells = learners_cells()
    del cells["test_double"]
    assert labels(cells) == ["imports", "double", "double?", "halve", "halve?"]


def test_emptied_tests_come_after_the_solution(labels: Callable[..., list[str]]) -> None:
    """A grade cell that was emptied is put in just so."""
    cells = learners_cells()
    cells["test_double"]["source"] = ""
    assert labels(cells, "double") == ["imports", "double", "double?"]


def test_never_before_the_solution(labels: Callable[..., list[str]]) -> None:
    """Tests that were moved above the solution are judged after it, and after all parts of a cell that was split."""
    cells = learners_cells()
    moved = [cells["test_double"], cells["imports"], cells["double"], graded(RIGHT, "double", solution=True)]
    assert labels(moved, "double") == ["imports", "double", "double", "double?"]


def test_copies_of_tests_are_left_out(labels: Callable[..., list[str]]) -> None:
    """A grade cell that was copied is judged once; one that lost its mark is not run as the learner's own."""
    cells = list(learners_cells().values())
    copies = [*cells[:4], cells[3].copy(), plain(cells[3]["source"]), *cells[4:]]
    assert labels(copies) == ["imports", "double", "double?", "halve", "halve?"]


def test_a_solution_without_its_mark_is_found_by_name(labels: Callable[..., list[str]]) -> None:
    """Another editor may drop nbgrader's marks: the cell that defines the name is the solution cell."""
    assert labels([plain("x = 1"), plain(RIGHT), plain(HALVE_RIGHT)], "double") == [
        "x = 1",
        "def double(x):",
        "double?",
    ]


def test_without_any_trace_the_tests_come_last(labels: Callable[..., list[str]]) -> None:
    """Where nothing of the exercise is found, all cells run first: a name may come from an import."""
    assert labels([plain("x = 1"), plain("y = 2")], "double") == ["x = 1", "y = 2", "double?"]


def test_locked_cells_are_restored(course: Path, notebook: Callable[..., Path]) -> None:
    """A cell that nbgrader would restore has the source's text, as when it is graded."""
    source = read_source(course / "source" / "01-small" / "01-small.ipynb")
    cells = learners_cells()
    cells["imports"]["source"] = "import maths"
    assert assemble(source, read_learners(notebook(cells)), source.exercises)[0].source == "import math"


def test_unknown_exercise_suggests_the_nearest(course: Path) -> None:
    """A mistyped exercise: the nearest is suggested; one that is like none: all are listed."""
    source = read_source(course / "source" / "01-small" / "01-small.ipynb")
    with pytest.raises(AuthorError, match="Did you mean double"):
        source.chosen(["duoble"])
    with pytest.raises(AuthorError, match="Write one of: double, halve"):
        source.chosen(["quux"])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "line 1 is not JSON"),
        (b'{"cells": [\n<<<<<<< HEAD\n', "line 2 is not JSON"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "no list of cells"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"cells": [{"cell_type": "code"}]}', "Cell 1 of this notebook has no type or no source"),
        (b'{"cells": [], "metadata": {"kernelspec": {"language": "julia"}}}', "written in julia"),
    ],
    ids=["empty", "merge conflict", "binary", "no notebook", "deep", "no source", "another language"],
)
def test_broken_notebooks(tmp_path: Path, content: bytes, sentence: str) -> None:
    """What is no notebook is refused in one message that says why; status 2."""
    path = tmp_path / "01-small.ipynb"
    path.write_bytes(content)
    with pytest.raises(BrokenNotebook, match=sentence) as caught:
        read_learners(path)
    assert caught.value.exit_status == 2


def test_hostile_marks_are_no_marks(course: Path, notebook: Callable[..., Path]) -> None:
    """Metadata of any shape is passed over, never an error."""
    source = read_source(course / "source" / "01-small" / "01-small.ipynb")
    path = notebook(learners_cells(RIGHT))
    raw = json.loads(path.read_text())
    raw["cells"][1]["metadata"] = ["nbgrader"]
    raw["cells"][2]["metadata"]["nbgrader"] = ["grade"]
    raw["cells"][3]["metadata"]["nbgrader"]["grade_id"] = {"test": "double"}
    path.write_text(json.dumps(raw))
    found = assemble(source, read_learners(path), source.chosen(["double"]))
    assert [cell.label for cell in found] == ["import math", "def double(x):", "double"]

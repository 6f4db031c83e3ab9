"""Source notebooks: read by role, and every fault named by file, place and remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SQUARES, graded
from torchdojo.errors import AuthorError
from torchdojo.grade_cell import points_in_check, visible_part
from torchdojo.notebook import read


def test_roles_of_a_whole_notebook(small_notebook: Callable[..., Path]) -> None:
    """Solution, grade cell, variants and hints are gathered into one exercise."""
    notebook = read(small_notebook())
    (exercise,) = notebook.exercises
    assert exercise.name == "double"
    assert exercise.points == notebook.points == 3
    assert [v.key for v in exercise.solutions] == ["by-two"]
    assert [v.key for v in exercise.misconceptions] == ["squares", "numbers-only", "forgets-the-sign"]
    assert exercise.misconceptions[0].hint == "What is the double of 1?"
    assert len(exercise.hints) == 3
    assert [source.splitlines()[0] for _, source in notebook.given] == ["def double(x):"]


def test_visible_part_has_no_hidden_test() -> None:
    """What a student sees of a grade cell ends where the hidden tests begin."""
    from tests.conftest import TESTS

    visible = visible_part(TESTS)
    assert "test_of_three" in visible
    assert "check(points=3)" in visible
    assert "test_of_text" not in visible
    assert "HIDDEN" not in visible


def _set_source(index: int, source: str) -> Callable[[list[Any]], None]:
    def change(cells: list[Any]) -> None:
        cells[index].source = source

    return change


def _duplicate(cells: list[Any]) -> None:
    other = graded("def other(): pass", "double", solution=True)
    other.id = "other"
    cells.append(other)


def _no_solution(cells: list[Any]) -> None:
    del cells[2]


def _other_points(cells: list[Any]) -> None:
    cells[3].metadata["nbgrader"]["points"] = 5


FAULTS = {
    "no check": (_set_source(3, "def test_a(): pass"), "must end with check(points=…)"),
    "check without points": (_set_source(3, "check()"), "must end with check(points=…)"),
    "tests are not Python": (_set_source(3, "def test_a(:\ncheck(points=3)"), "is not Python (line 1"),
    "other points in metadata": (_other_points, "check(points=3) but its metadata says 5 points"),
    "one grade id twice": (_duplicate, "cells 3 and 10 have one grade id, 'double'"),
    "no solution cell": (_no_solution, "no solution cell stands before"),
    "no key": (_set_source(5, SQUARES.replace(" squares", "")), "needs a key, got nothing"),
    "odd key": (_set_source(5, SQUARES.replace(" squares", " Squares It")), "needs a key, got 'Squares It'"),
    "no separator": (_set_source(5, SQUARES.replace("---\n", "")), "no line '---'"),
    "no hint": (_set_source(5, SQUARES.replace("hint:", "hnt:")), "cannot read header line"),
    "no caught-by": (_set_source(5, SQUARES.replace("caught-by: test_of_three\n", "")), "header misses caught-by"),
    "one key twice": (_set_source(6, SQUARES), "already has a variant 'squares'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, small_notebook: Callable[..., Path]) -> None:
    """A fault of a source notebook is one message with its file, its cell, and what to write."""
    change, message = FAULTS[fault]
    path = small_notebook(change)
    with pytest.raises(AuthorError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}: cell")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{ not json", "is not JSON"),
        (b"", "is not JSON"),
        (b"\xff\xfe\x00", "is not UTF-8"),
        (b"[1, 2]", "no notebook"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "kernelspec is missing"),
        (b'{"cells": [{}], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "no notebook"),
    ],
)
def test_files_that_are_no_notebook(content: bytes, message: str, tmp_path: Path) -> None:
    """A file that is no notebook: its name, what is wrong, what to do."""
    path = tmp_path / "broken.ipynb"
    path.write_bytes(content)
    with pytest.raises(AuthorError, match=r"broken\.ipynb") as caught:
        read(path)
    assert message in str(caught.value)


def test_missing_file(tmp_path: Path) -> None:
    """A notebook that is not there is named."""
    with pytest.raises(AuthorError, match="there is no such notebook"):
        read(tmp_path / "none.ipynb")


def test_unknown_exercise_lists_the_known(small_notebook: Callable[..., Path]) -> None:
    """Asking for an exercise that is not there lists those that are."""
    with pytest.raises(AuthorError, match="Write one of: double"):
        read(small_notebook()).exercise("triple")


def test_points_may_be_a_fraction() -> None:
    """check(points=2.5) is 2.5 points."""
    assert points_in_check("check(points=2.5)", "here") == 2.5

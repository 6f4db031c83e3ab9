"""Pasted, split, copied and deleted cells end in a grade, or in a sentence that names the cell."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from tests.grading import foreign
from tests.grading.running import by_student, grade
from torchdojo.grading.status import Graded, Status


def graded(course: Path, change: foreign.Change, *arguments: str) -> Graded:
    """What comes of one submission; a second one, all right, must be graded whatever happens to the first."""
    foreign.submit(course, "ann", change)
    foreign.submit(course, "zoe", foreign.solve)
    report = by_student(grade(course, *arguments))
    assert (report["zoe"].status, report["zoe"].score) == (Status.GRADED, 11)
    return report["ann"]


def _copied(name: str, at: int | None = None) -> foreign.Change:
    def change(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        cells = first["node"].cells
        cells.insert(len(cells) if at is None else at, copy.deepcopy(first[name]))

    return change


@pytest.mark.parametrize("name", ["square", "test_square", "test_partial", "task"])
@pytest.mark.parametrize("at", [1, None])
def test_a_copied_cell_is_graded(course: Path, name: str, at: int | None) -> None:
    """nbgrader stops the whole batch here; the last of the copies counts, and the note names the cell."""
    ann = graded(course, _copied(name, at))
    assert (ann.status, ann.recorded, ann.score) == (Status.GRADED, True, 11)
    assert f"'{name}' is there twice" in ann.notes[0]


def test_a_split_solution_cell_runs_whole(course: Path) -> None:
    """JupyterLab's split gives both halves one grade id: both run, and the tests find the function."""

    def split(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        half = copy.deepcopy(first["square"])
        first["square"].source, half.source = "def square(x):\n    return x * x", "square(3)"
        first["node"].cells.insert(first["node"].cells.index(first["square"]) + 1, half)

    assert graded(course, split).score == 11


def test_two_answers_in_words_wait_for_a_human(course: Path) -> None:
    """Which of two different written answers is meant only a human can say; the rest is graded."""

    def answer_twice(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        first["node"].cells.append(copy.deepcopy(first["essay"]))
        first["node"].cells[-1].source = "Squares shrink."

    ann = graded(course, answer_twice)
    assert (ann.status, ann.recorded, ann.score) == (Status.DUPLICATE, True, 11)
    assert "'essay'" in ann.sentence


def test_the_answered_copy_counts(course: Path) -> None:
    """Of an answered and an untouched copy the answered one is kept, wherever it stands."""

    def answer_above(first: dict[str, Any], second: dict[str, Any]) -> None:
        untouched = copy.deepcopy(first["essay"])
        foreign.solve(first, second)
        first["node"].cells.append(untouched)

    ann = graded(course, answer_above)
    assert ann.status is Status.GRADED
    assert "Squares grow." in (course / "autograded" / "ann" / "ps1" / "p1.ipynb").read_text()


def test_a_pasted_cell_counts_for_nothing(course: Path) -> None:
    """A test cell of another assignment loses its metadata, where nbgrader loses the submission."""

    def paste(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        pasted = copy.deepcopy(first["test_square"])
        pasted.metadata.nbgrader["grade_id"] = "test_elsewhere"
        first["node"].cells.insert(2, pasted)

    ann = graded(course, paste)
    assert (ann.status, ann.score) == (Status.GRADED, 11)
    assert "'test_elsewhere'" in ann.notes[0]


def test_another_notebook_is_refused(course: Path) -> None:
    """A notebook with none of this assignment's cells is not graded as 0: it is said to be the wrong one."""

    def swap(first: dict[str, Any], second: dict[str, Any]) -> None:
        first["node"].cells = [copy.deepcopy(cell) for cell in second["node"].cells]

    ann = graded(course, swap)
    assert (ann.status, ann.recorded, ann.score) == (Status.REFUSED, False, None)
    assert "Another assignment's notebook?" in ann.sentence


def test_a_lost_grade_id_is_said(course: Path) -> None:
    """A test cell whose grade id is gone is not known any more; the note says which."""

    def lose(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        del first["test_mean"].metadata.nbgrader["grade_id"]

    ann = graded(course, lose)
    assert ann.score == 11  # this course has deleted cells put back
    assert any("lost its grade id" in note for note in ann.notes)


@pytest.mark.parametrize("kind", ["grade", "solution"])
def test_changed_kinds_are_restored(course: Path, kind: str) -> None:
    """Whether a cell is tests or a solution is the gradebook's word, not the submission's."""

    def turn(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        meta = first["test_square"].metadata.nbgrader
        meta[kind] = not meta[kind]

    assert graded(course, turn).score == 11


@pytest.mark.parametrize("strange", [None, "text", 3, [], {}, {"grade": "yes"}])
def test_strange_metadata_is_survived(course: Path, strange: Any) -> None:
    """Whatever stands where nbgrader keeps its metadata, the cell is put back from the gradebook."""

    def spoil(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        first["test_square"].metadata["nbgrader"] = strange

    assert graded(course, spoil).score == 11


def test_a_deleted_cell_waits_for_a_human(course: Path) -> None:
    """Where the course does not put deleted cells back, the cell is named, and has no score rather than 0."""
    config = (course / "nbgrader_config.py").read_text()
    (course / "nbgrader_config.py").write_text(config.replace("add_missing_cells = True", "add_missing_cells = False"))

    def delete(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        first["node"].cells.remove(first["test_mean"])

    ann = graded(course, delete)
    assert (ann.recorded, ann.score) == (True, 8)
    assert "'test_mean' (3 points) was deleted" in ann.notes[0]
    assert foreign.grades(course, "ann")["test_mean"] == (None, True)


@pytest.mark.parametrize("names", [["mean", "test_mean"], ["given", "add", "test_add"], ["square", "test_square"]])
def test_cells_deleted_in_a_row_are_put_back(course: Path, names: list[str]) -> None:
    """nbgrader puts a test cell back after the cell before it, and fails where that is deleted too."""

    def delete(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        for view in (first, second):
            view["node"].cells = [cell for cell in view["node"].cells if cell not in [view.get(name) for name in names]]

    ann = graded(course, delete)
    assert (ann.status, ann.recorded) == (Status.GRADED, True)
    assert foreign.grades(course, "ann")[names[-1]] == (0, False)


def test_equal_cell_ids_are_told_apart(course: Path) -> None:
    """Two cells with one id, as copying a file by hand makes them, are graded; twice the same way."""

    def twin(first: dict[str, Any], second: dict[str, Any]) -> None:
        foreign.solve(first, second)
        first["title"].id = first["square"].id

    ann = graded(course, twin)
    before = (course / "autograded" / "ann" / "ps1" / "p1.ipynb").read_bytes()
    assert ann.score == 11
    grade(course, force=True)
    assert (course / "autograded" / "ann" / "ps1" / "p1.ipynb").read_bytes() == before

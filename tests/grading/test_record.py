"""Scores are nbgrader's; what its scorer cannot say stays open, and never becomes a 0 or full marks."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.grading import foreign
from tests.grading.running import by_student, grade, without_kernel
from torchdojo.grade_cell import check_points
from torchdojo.grading.graft import NOT_RUN, graft
from torchdojo.grading.status import Graded, Status
from torchdojo.kernels.job import CellResult, Job, JobStatus, Result, Stop


def _value(data: dict[str, str]) -> dict[str, Any]:
    return {"output_type": "execute_result", "data": data, "metadata": {}, "execution_count": 1}


def _error(name: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": "", "traceback": []}


def _index(job: Job, name: str) -> int:
    cells = json.loads(job.notebook)["cells"]
    return next(i for i, cell in enumerate(cells) if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def putting_out(name: str, *outputs: dict[str, Any], stop: Stop | None = None) -> Callable[[Job], Result]:
    """A runner whose cell `name` puts these out; the others do as they should."""

    def execute(job: Job) -> Result:
        result = without_kernel(job)
        if not job.key.endswith("/p1"):
            return result
        at = _index(job, name)
        cells = tuple(replace(cell, outputs=outputs, stop=stop) if cell.index == at else cell for cell in result.cells)
        return replace(result, cells=cells, status=JobStatus.STOPPED if stop else JobStatus.COMPLETED)

    return execute


def ending(status: JobStatus, before: str, sentence: str) -> Callable[[Job], Result]:
    """A runner whose kernel is gone from the cell `before` on."""

    def execute(job: Job) -> Result:
        result = without_kernel(job)
        if not job.key.endswith("/p1"):
            return result
        at = _index(job, before)
        cells = tuple(cell if cell.index < at else CellResult(cell.index, (_error(NOT_RUN),)) for cell in result.cells)
        return replace(result, cells=cells, status=status, sentence=sentence)

    return execute


def only(course: Path, execute: Callable[[Job], Result]) -> Graded:
    foreign.submit(course, "ann", foreign.solve)
    return by_student(grade(course, execute=execute))["ann"]


@pytest.mark.parametrize("text", ["5", "inf"])
def test_more_than_its_points_is_left_open(course: Path, text: str) -> None:
    """nbgrader's scorer raises at 5 of 4, and the submission is lost; here that cell waits, the others count."""
    ann = only(course, putting_out("test_partial", _value({"text/plain": text})))
    assert (ann.status, ann.recorded, ann.score) == (Status.REFUSED, True, 7)
    assert "'test_partial'" in ann.sentence
    assert foreign.grades(course, "ann")["test_partial"] == (None, True)


def test_a_result_without_text_is_left_open(course: Path) -> None:
    """HTML alone says no number: nbgrader's scorer raises KeyError."""
    ann = only(course, putting_out("test_partial", _value({"text/html": "<b>4</b>"})))
    assert (ann.status, ann.score, ann.notebooks[0].left_open) == (Status.REFUSED, 7, ("test_partial",))


@pytest.mark.parametrize(
    ("text", "score"), [("2.5", 2.5), ("0", 0), ("'3'", 4), ("nan", 4), ("-1", 4), ("tensor(1.)", 4), ("False", 4)]
)
def test_odd_values_score_as_in_nbgrader(course: Path, text: str, score: float) -> None:
    """Also where nbgrader's rule is odd, a course that relies on it gets the same."""
    only(course, putting_out("test_partial", _value({"text/plain": text})))
    assert foreign.grades(course, "ann")["test_partial"] == (score, False)


def test_points_before_a_crash_stay(course: Path) -> None:
    """What ran keeps its points; what did not run waits for a human, where nbgrader would give full marks."""
    ann = only(course, ending(JobStatus.DIED, "test_mean", "This cell ended its own kernel."))
    assert (ann.status, ann.recorded, ann.score) == (Status.DIED, True, 8)
    assert "ended its own kernel" in ann.sentence
    assert foreign.grades(course, "ann")["test_mean"] == (None, True)
    assert foreign.grades(course, "ann")["test_partial"] == (4, False)


def test_cells_that_a_runner_forgot_did_not_run(course: Path) -> None:
    """A cell of which nothing came back is not full marks."""

    def forgetful(job: Job) -> Result:
        result = without_kernel(job)
        return replace(result, cells=result.cells[:2], status=JobStatus.DIED, sentence="It died.")

    only(course, forgetful)
    assert foreign.grades(course, "ann")["test_partial"] == (None, True)


def test_a_stopped_cell_is_said(course: Path) -> None:
    """The status and the sentence name the cell and the limit; its score is nbgrader's for an error."""
    stop = Stop("cell_timeout_s", 10, 10.2, "stopped after 10 s (cell_timeout_s)")
    ann = only(course, putting_out("test_mean", _error("CellTimeoutError"), stop=stop))
    assert (ann.status, ann.recorded, ann.score) == (Status.STOPPED, True, 8)
    assert ann.sentence == "p1.ipynb, test_mean: stopped after 10 s (cell_timeout_s)"


@pytest.mark.parametrize("status", [JobStatus.OURS, JobStatus.UNREADABLE])
def test_what_could_not_run_is_not_graded(course: Path, status: JobStatus) -> None:
    """No row says 0, and the next run tries again."""
    ann = only(course, lambda job: Result(job.key, status, sentence="It did not run."))
    assert (ann.recorded, ann.score) == (False, None)
    assert not any(score == 0 for score, _ in foreign.grades(course, "ann").values())
    again = by_student(grade(course))["ann"]
    assert (again.status, again.recorded, again.score) == (Status.GRADED, True, 11)


def test_a_failed_resubmission_takes_the_old_grade_down(course: Path) -> None:
    """Points of an earlier submission do not stand for one that cannot be read; what a human gave stays."""
    only(course, without_kernel)
    (course / "submitted" / "ann" / "ps1" / "p1.ipynb").write_text("nonsense")
    ann = by_student(grade(course))["ann"]
    assert (ann.status, ann.recorded) == (Status.UNREADABLE, False)
    assert set(foreign.grades(course, "ann").values()) == {(None, True)}
    assert not (course / "autograded" / "ann" / "ps1").exists()


def test_source_from_a_runner_is_not_believed(course: Path) -> None:
    """Only outputs are grafted: a result names cells by position and carries no source."""
    foreign.submit(course, "ann", foreign.solve)
    sent: list[Job] = []

    def execute(job: Job) -> Result:
        sent.append(job)
        return without_kernel(job)

    grade(course, execute=execute)
    prepared = nbformat.reads(sent[0].notebook.decode(), as_version=4)
    stands = nbformat.read(course / "autograded" / "ann" / "ps1" / "p1.ipynb", as_version=4)
    assert [(c.source, c.metadata) for c in stands.cells] == [(c.source, c.metadata) for c in prepared.cells]


def test_outputs_that_are_none_are_ours(course: Path) -> None:
    """A runner that sends what is no output has failed; nobody loses points for it."""
    ann = only(course, putting_out("test_mean", {"output_type": "stream", "nonsense": 3}))
    assert (ann.status, ann.recorded) == (Status.OURS, False)


@pytest.mark.parametrize(
    ("source", "ends"),
    [
        ("def test(student): ...\n\ncheck(points=3)", True),
        ("check(points=3.5)  # all of it", True),
        ("check(3)", False),
        ("x = check(points=3)", False),
        ("check(points=3)\nprint()", False),
        ("%time\ncheck(points=3)", False),
        ("", False),
    ],
)
def test_only_a_last_check_is_believed_about_stderr(source: str, ends: bool) -> None:
    """A cell is check's when its last line is the call that authors are made to write."""
    assert (check_points(source) is not None) is ends


def test_a_warning_costs_nothing_where_the_tests_are_checks() -> None:
    """nbgrader gives 0 to a grade cell with anything on stderr; of a `check` cell the value is the word."""
    meta = {"nbgrader": {"grade": True, "solution": False, "grade_id": "t", "points": 3}}
    cell = nbformat.v4.new_code_cell("check(points=3)", metadata=meta)
    other = nbformat.v4.new_code_cell("assert True", metadata=meta)
    node = nbformat.v4.new_notebook(cells=[cell, other])
    warning = {"output_type": "stream", "name": "stderr", "text": "UserWarning: careful"}
    graft(node, Result("k", JobStatus.COMPLETED, tuple(CellResult(i, (warning,)) for i in range(2))))
    assert [cell.outputs[0].name for cell in node.cells] == ["stdout", "stderr"]
    assert node.cells[0].outputs[0].text == "UserWarning: careful"

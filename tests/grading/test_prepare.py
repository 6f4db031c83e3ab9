"""What no grade can come of is told in a sentence, and never stops the batch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.grading import foreign
from tests.grading.running import by_student, grade, without_kernel
from torchdojo.grading.status import BatchReport, Status
from torchdojo.kernels.job import Job, Result


def _deep(path: Path) -> None:
    path.write_text('{"nbformat": 4, "metadata": {"a": ' + "[" * 50_000 + "]" * 50_000 + "}}")


def _cell_without_source(path: Path) -> None:
    node = json.loads(path.read_text())
    del node["cells"][1]["source"]
    path.write_text(json.dumps(node))


def _in_r(path: Path) -> None:
    node = json.loads(path.read_text())
    node["metadata"] = {"language_info": {"name": "R"}}
    path.write_text(json.dumps(node))


SPOILED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:200]), "is not JSON"),
    "binary": (lambda path: path.write_bytes(bytes(range(256))), "is not UTF-8"),
    "nested": (_deep, "nested too deeply"),
    "no notebook": (lambda path: path.write_text('{"nbformat": 4}'), "is JSON but no notebook"),
    "a list": (lambda path: path.write_text("[1, 2]"), "is JSON but no notebook"),
    "no source": (_cell_without_source, "is JSON but no notebook"),
    "huge": (lambda path: path.write_bytes(b" " * 300_000), "Ask for it again with its outputs cleared"),
}


@pytest.mark.parametrize("how", SPOILED)
def test_an_unreadable_notebook_is_no_zero(course: Path, how: str) -> None:
    """It has a status and a sentence; in the gradebook its cells wait for a human, and the next student is graded."""
    spoil, said = SPOILED[how]
    spoil(foreign.submit(course, "ann") / "p1.ipynb")
    foreign.submit(course, "zoe", foreign.solve)
    report = grade(course, "--CourseDirectory.max_file_size=200")
    ann = by_student(report)["ann"]
    assert (ann.status, ann.recorded, ann.score) == (Status.UNREADABLE, False, None)
    assert said in ann.sentence
    assert set(foreign.grades(course, "ann").values()) == {(None, True)}
    assert not (course / "autograded" / "ann" / "ps1").exists()
    assert by_student(report)["zoe"].score == 11
    assert report.exit_status == 1


def test_old_metadata_is_refused_with_the_remedy(course: Path) -> None:
    """nbgrader stops the whole batch at metadata of an older version; here that submission says how to update it."""

    def age(first: dict[str, Any], second: dict[str, Any]) -> None:
        for cell in first["node"].cells:
            if "nbgrader" in cell.metadata:
                cell.metadata.nbgrader["schema_version"] = 1

    foreign.submit(course, "ann", age)
    foreign.submit(course, "zoe", foreign.solve)
    report = by_student(grade(course))
    assert (report["ann"].status, report["ann"].recorded) == (Status.REFUSED, False)
    assert "nbgrader update" in report["ann"].sentence
    assert report["zoe"].status is Status.GRADED


def test_a_timestamp_that_is_none_is_refused(course: Path) -> None:
    """Whether it is late cannot be known; the sentence names the file."""
    foreign.submit(course, "ann", stamp="yesterday, I think")
    ann = by_student(grade(course))["ann"]
    assert (ann.status, ann.recorded) == (Status.REFUSED, False)
    assert "timestamp.txt is not a date" in ann.sentence


def test_a_renamed_notebook_is_found(course: Path) -> None:
    """A browser's "p1 (1).ipynb" is named, with what to do."""
    place = foreign.submit(course, "ann")
    (place / "p1.ipynb").rename(place / "p1 (1).ipynb")
    (place / "p2.ipynb").unlink()
    report = grade(course)
    ann = by_student(report)["ann"]
    assert (ann.status, ann.recorded, report.exit_status) == (Status.MISSING, False, 1)
    assert "'p1 (1).ipynb' is. Rename it" in ann.sentence


def test_an_empty_folder_is_nothing_handed_in(course: Path) -> None:
    """It is listed, and is not a failure: nbgrader passes over it."""
    (course / "submitted" / "ann" / "ps1").mkdir(parents=True)
    foreign.submit(course, "zoe", foreign.solve)
    report = grade(course)
    assert by_student(report)["ann"].status is Status.MISSING
    assert report.exit_status == 0


def test_a_link_out_of_the_folder_is_not_followed(course: Path) -> None:
    """A submission cannot have the gradebook copied into its own folder."""
    place = foreign.submit(course, "ann", foreign.solve)
    os.symlink(course / "gradebook.db", place / "mine.db")
    seen: list[Job] = []

    def watched(job: Job) -> Result:
        seen.append(job)
        return without_kernel(job)

    grade(course, execute=watched)
    assert {name for name, _ in seen[0].files} == {"data.csv", "timestamp.txt"}
    assert not (course / "autograded" / "ann" / "ps1" / "mine.db").exists()


def test_too_many_files_are_refused(course: Path) -> None:
    """Files larger than the job's disk would not fit where it runs."""
    place = foreign.submit(course, "ann", foreign.solve)
    with (place / "large.bin").open("wb") as file:
        file.truncate(513 * 2**20)
    ann = by_student(grade(course))["ann"]
    assert (ann.status, ann.recorded) == (Status.REFUSED, False)
    assert "disk_mib" in ann.sentence


def test_only_listed_files_run_in_our_courses(small_course: Path) -> None:
    """A student's torch.py would be imported in place of torch."""
    foreign.release(small_course, "01-small")
    place = small_course / "submitted" / "ann" / "01-small"
    place.mkdir(parents=True)
    (place / "01-small.ipynb").write_bytes((small_course / "release" / "01-small" / "01-small.ipynb").read_bytes())
    (place / "torch.py").write_text("evil = True")
    seen: list[Job] = []

    def watched(job: Job) -> Result:
        seen.append(job)
        return without_kernel(job)

    report: BatchReport = grade(small_course, execute=watched, assignment="01-small")
    assert seen[0].files == ()
    assert "torch.py did not run" in report.graded[0].notes[0]
    assert seen[0].limits.cell_timeout_s == 30


@pytest.mark.parametrize("otherwise", ["refuse", "cpu"])
def test_without_a_gpu_course_yml_decides(small_course: Path, otherwise: str) -> None:
    """Either nothing runs, and the record says why, or it runs on the CPU, and the record says so."""
    foreign.release(small_course, "01-small")
    text = (small_course / "course.yml").read_text()
    (small_course / "course.yml").write_text(text.replace("device: cpu", f"device: cuda, without_gpu: {otherwise}"))
    shutil.copytree(small_course / "release" / "01-small", small_course / "submitted" / "ann" / "01-small")
    ann = grade(small_course, assignment="01-small").graded[0]
    if otherwise == "refuse":
        assert (ann.status, ann.recorded) == (Status.REFUSED, False)
        assert "this machine has no GPU" in ann.sentence
        assert foreign.grades(small_course, "ann") == {}
    else:
        assert (ann.status, ann.recorded) == (Status.GRADED, True)
        assert "ran on the CPU" in ann.notes[0]


def test_the_cheating_test_cell_never_runs(course: Path) -> None:
    """What runs is the released test, hidden part included, with the released points."""

    def cheat(first: dict[str, Any], second: dict[str, Any]) -> None:
        first["test_square"].source = "pass"
        first["test_square"].metadata.nbgrader["points"] = 100

    foreign.submit(course, "ann", cheat)
    seen: list[Job] = []

    def watched(job: Job) -> Result:
        seen.append(job)
        return without_kernel(job)

    grade(course, execute=watched)
    ran = nbformat.reads(seen[0].notebook.decode(), as_version=4)
    test = next(cell for cell in ran.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "test_square")
    assert "square(-3) == 9" in test.source
    assert test.metadata.nbgrader["points"] == 2


def test_nbgraders_timeout_counts_where_there_is_no_course_yml(course: Path) -> None:
    """nbgrader_config.py says 10 s a cell; a timeout typed goes before it; None is a day."""
    foreign.submit(course, "ann")
    seen: list[float] = []

    def watched(job: Job) -> Result:
        seen.append(job.limits.cell_timeout_s)
        return without_kernel(job)

    for typed in ([], ["--Execute.timeout=3"], ["--Execute.timeout=None"]):
        grade(course, *typed, execute=watched)
    assert seen == [10, 10, 3, 3, 86_400, 86_400]


def test_without_executing_the_outputs_sent_are_scored(course: Path) -> None:
    """nbgrader's --no-execute: no job is made, the outputs stay as handed in."""
    foreign.submit(course, "ann")

    def never(job: Job) -> Result:
        raise AssertionError(job.key)

    ann = grade(course, "--no-execute", execute=never).graded[0]
    assert (ann.status, ann.recorded, ann.score) == (Status.GRADED, True, 11)  # nbgrader: no output, full marks

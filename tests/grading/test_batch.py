"""The batch goes on whatever happens to one; where it cannot, nothing half-written stands and it says how to go on."""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from tests.grading import foreign
from tests.grading.running import InTurn, by_student, grade, without_kernel
from tests.grading.standing import rows
from torchdojo.errors import AuthorError, OursError
from torchdojo.grading.batch import NothingToGrade, Watch, _executed
from torchdojo.grading.folder import Submission
from torchdojo.grading.gradebook import Ledger
from torchdojo.grading.prepare import Prepared, PreparedNotebook
from torchdojo.grading.status import Graded, Status
from torchdojo.kernels.job import Job, JobStatus, Result


@pytest.fixture
def three(course: Path) -> Path:
    for student in ("ann", "bea", "cyd"):
        foreign.submit(course, student, foreign.solve)
    return course


def test_a_broken_runner_fails_one_submission(three: Path) -> None:
    """An exception from a runner is our fault, for that submission; the next run grades it."""

    def breaking(job: Job) -> Result:
        if "/bea/" in job.key:
            raise OSError("no more memory")
        return without_kernel(job)

    report = grade(three, execute=breaking)
    assert {each.student: each.status for each in report.graded} == {
        "ann": Status.GRADED,
        "bea": Status.OURS,
        "cyd": Status.GRADED,
    }
    assert report.exit_status == 3
    assert "no more memory" in by_student(report)["bea"].sentence
    assert by_student(grade(three))["bea"].score == 11


def test_a_course_step_that_raises_fails_one_submission(three: Path) -> None:
    """A preprocessor of the course's own is called as nbgrader calls it; where it raises, the others go on."""
    (three / "nbgrader_config.py").write_text(
        foreign.CONFIG
        + """
from nbgrader.converters import Autograde
from nbgrader.preprocessors import NbGraderPreprocessor

class Picky(NbGraderPreprocessor):
    def preprocess(self, nb, resources):
        from nbgrader.api import Gradebook
        place = resources["nbgrader"]
        if place["student"] == "bea":
            raise ZeroDivisionError("not you")
        with Gradebook(place["db_url"]) as gradebook:
            gradebook.find_submission_notebook(place["notebook"], place["assignment"], place["student"]).flagged = True
            gradebook.db.commit()
        return nb, resources

c.Autograde.autograde_preprocessors = [*Autograde.autograde_preprocessors.default(), Picky]
"""
    )
    report = by_student(grade(three))
    assert (report["bea"].status, report["bea"].recorded) == (Status.OURS, False)
    assert "not you" in report["bea"].sentence
    assert report["cyd"].status is Status.GRADED
    assert {student: flagged for _, student, flagged, _ in rows(three)["notebook"]}["cyd"] == 1


def test_an_interrupt_keeps_what_is_recorded(three: Path) -> None:
    """Ctrl-C ends the batch with a report; the next run does the rest."""

    def interrupted(job: Job) -> Result:
        if "/bea/" in job.key:
            raise KeyboardInterrupt
        return without_kernel(job)

    report = grade(three, execute=interrupted, ahead=2)
    assert (report.interrupted, report.exit_status, report.remaining) == (True, 130, 2)
    assert [each.student for each in grade(three).graded if not each.unchanged] == ["bea", "cyd"]


def test_two_do_not_grade_one_course_at_once(three: Path) -> None:
    """The second says who is at work."""

    class Second(Watch):
        said = ""

        def planned(self, *_: Any) -> None:
            with pytest.raises(AuthorError, match=r"at work in .* \(process \d+\)") as error:
                grade(three)
            self.said = str(error.value)

    second = Second()
    grade(three, watch=second)
    assert "it keeps what it has recorded" in second.said


def test_no_submission_names_the_nearest(three: Path) -> None:
    """A mistyped assignment is answered with the one that is meant."""
    with pytest.raises(NothingToGrade, match="Did you mean 'ps1'"):
        grade(three, assignment="ps2")


def test_an_assignment_that_was_never_released(three: Path) -> None:
    """It says what to type first."""
    shutil.move(three / "submitted" / "ann" / "ps1", three / "submitted" / "ann" / "ps9")
    with pytest.raises(AuthorError, match="nbgrader generate_assignment ps9"):
        grade(three, assignment="ps9")


def test_a_due_date_of_course_yml_counts_before_anything_is_graded(small_course: Path) -> None:
    """A date changed since the release is in the gradebook when lateness is judged."""
    foreign.release(small_course, "01-small")
    text = (small_course / "course.yml").read_text()
    (small_course / "course.yml").write_text(text.replace("points: 3}", "points: 3, due: 2031-02-03 04:05}"))
    place = small_course / "submitted" / "ann" / "01-small"
    shutil.copytree(small_course / "release" / "01-small", place)
    grade(small_course, assignment="01-small")
    assert ("01-small", "2031-02-03 04:05:00.000000", "small") in rows(small_course)["assignment"]


def test_an_unknown_student_may_be_refused(three: Path) -> None:
    """With nbgrader's create_student off nobody is made up, and nothing is written."""
    report = grade(three, "--Autograde.create_student=False")
    assert {each.status for each in report.graded} == {Status.REFUSED}
    assert "nbgrader db student add ann" in by_student(report)["ann"].sentence
    assert rows(three)["submission"] == []
    assert grade(three).exit_status == 0


# --------------------------------------------------------------------------------- gradebook and disk


@contextlib.contextmanager
def locked(course: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(course / "gradebook.db", check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


class Waiting(Watch):
    def __init__(self) -> None:
        self.said: list[str] = []
        self.then: Callable[[], None] = lambda: None

    def waiting(self, sentence: str) -> None:
        self.said.append(sentence)
        self.then()


def test_a_locked_gradebook_is_waited_for(three: Path) -> None:
    """It says once that it waits, and goes on as soon as the other lets go."""
    waiting = Waiting()
    with locked(three) as other:
        waiting.then = threading.Timer(0.5, other.rollback).start  # once it is told, however busy this machine is
        report = grade(three, watch=waiting)
    assert report.exit_status == 0
    assert len(waiting.said) == 1
    assert "is locked by" in waiting.said[0]


def test_a_gradebook_that_stays_locked(three: Path) -> None:
    """It gives up before anything runs, and says who and what to do."""
    with locked(three), pytest.raises(OursError, match="type the same command again"):
        grade(three, lock_wait_s=1)


def test_a_read_only_gradebook(three: Path) -> None:
    """Found out before anything runs."""
    url = f"--CourseDirectory.db_url=sqlite:///file:{three}/gradebook.db?mode=ro&uri=true"
    with pytest.raises(OursError, match="Make the file and its folder writable"):
        grade(three, url)
    assert not (three / "autograded").exists()


def test_no_gradebook_is_made_up(three: Path) -> None:
    """A gradebook that is not there was never released into; nbgrader would make an empty one."""
    (three / "gradebook.db").unlink()
    with pytest.raises(AuthorError, match="there is no gradebook"):
        grade(three)
    assert not (three / "gradebook.db").exists()


def test_a_full_disk_under_the_gradebook(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing half-written stands, the report says so, and with space again the rest is graded."""
    opened = Ledger.__init__
    with contextlib.closing(sqlite3.connect(three / "gradebook.db")) as db:
        db.executescript("PRAGMA page_size = 512; VACUUM;")  # no room left in the pages that there are

    def on_a_full_disk(ledger: Ledger, *arguments: Any, **named: Any) -> None:
        opened(ledger, *arguments, **named)
        event.listen(ledger.engine, "connect", lambda connection, _: connection.execute("PRAGMA max_page_count = 1"))
        ledger.engine.dispose()

    with monkeypatch.context() as full:
        full.setattr(Ledger, "__init__", on_a_full_disk)
        with pytest.raises(OursError, match="Free some space"):
            grade(three)
        full.setattr(Ledger, "make_sure_it_can_be_written", lambda _: None)  # it fills up only now
        report = grade(three)
    assert "Free some space" in report.halted
    assert (report.exit_status, rows(three)["submission"]) == (3, [])
    assert grade(three).exit_status == 0


def test_a_full_disk_under_autograded(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The submission at work is not graded, in no place; the report says how to go on."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copy", full)
        report = grade(three)
    assert "No space left on device" in report.halted
    assert (report.graded, report.remaining, report.exit_status) == ((), 3, 3)
    assert rows(three)["submission"] == []
    assert not [path for path in (three / "autograded").rglob("*") if path.is_file()]
    assert grade(three).exit_status == 0


# ------------------------------------------------------------------------------------------ order


def _prepared(student: str, jobs: int) -> Prepared:
    submission = Submission("ps1", student, Path(), tuple(f"p{n}" for n in range(jobs)))
    notebooks = [PreparedNotebook(name, job=Job(f"{student}/{name}", b"")) for name in submission.notebooks]
    return Prepared(submission, notebooks)


def test_no_more_jobs_are_out_than_asked_for() -> None:
    """A class of any size needs the memory of a few jobs: the next is prepared when one is back."""
    prepared = 0

    def submissions() -> Iterator[Prepared]:
        nonlocal prepared
        for number in range(20):
            prepared += 1
            yield _prepared(f"s{number}", 1)

    with ThreadPoolExecutor(2) as executor:
        done = 0
        for _ in _executed(submissions(), executor, lambda job: Result(job.key, JobStatus.COMPLETED), ahead=4):
            done += 1
            assert prepared <= done + 4
    assert done == 20


def test_a_submission_waits_for_all_its_notebooks() -> None:
    """Its results come together, by key; one without jobs comes at once."""
    ready = _executed(
        iter([_prepared("ann", 3), _prepared("bea", 0)]),
        InTurn(),
        lambda job: Result(job.key, JobStatus.COMPLETED),
        ahead=2,
    )
    found = {prepared.submission.student: sorted(results) for prepared, results in ready}
    assert found == {"ann": ["ann/p0", "ann/p1", "ann/p2"], "bea": []}


def test_graded_is_told_as_soon_as_it_stands(three: Path) -> None:
    """At the moment of the call the row is in the gradebook."""
    stood = []

    class Look(Watch):
        def graded(self, graded: Graded) -> None:
            stood.append(foreign.grades(three, graded.student)["test_mean"])

    grade(three, watch=Look())
    assert stood == [(3, False)] * 3

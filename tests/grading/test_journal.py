"""Only what changed is graded again; what a killed run left half-done is not graded, and is finished by the next."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.grading import foreign
from tests.grading.running import by_student, grade, without_kernel
from tests.grading.standing import notebooks, rows, tree
from torchdojo.errors import OursError
from torchdojo.grading import inputs
from torchdojo.grading.batch import Watch
from torchdojo.grading.desk import Planned
from torchdojo.grading.inputs import Inputs
from torchdojo.grading.journal import Journal
from torchdojo.grading.status import Graded, NotebookGrade, SlowCell, Status
from torchdojo.kernels.job import Job, Result


class Plan(Watch):
    """Keeps what a batch said it would do."""

    def __init__(self) -> None:
        self.why: dict[str, str] = {}

    def planned(self, todo: Sequence[Planned], unchanged: Sequence[Graded]) -> None:
        self.why = {planned.submission.student: planned.why for planned in todo}


def why(course: Path, *arguments: str, execute: Callable[[Job], Result] = without_kernel) -> dict[str, str]:
    plan = Plan()
    grade(course, *arguments, watch=plan, execute=execute)
    return plan.why


@pytest.fixture
def two(course: Path) -> Path:
    """A course with two submissions, graded."""
    for student in ("ann", "bea"):
        foreign.submit(course, student, foreign.solve)
    grade(course)
    return course


def test_nothing_is_graded_twice(two: Path) -> None:
    """A second run finds nothing to do, and still reports what stands."""
    assert why(two) == {}
    assert {each.student: each.score for each in grade(two).graded} == {"ann": 11, "bea": 11}


def _edit_submission(course: Path) -> None:
    path = course / "submitted" / "ann" / "ps1" / "p1.ipynb"
    path.write_text(path.read_text().replace("x ** 2", "x ** 3"))


def _add_file(course: Path) -> None:
    (course / "submitted" / "ann" / "ps1" / "more.txt").write_text("more")


def _hand_in_later(course: Path) -> None:
    (course / "submitted" / "ann" / "ps1" / "timestamp.txt").write_text("2030-02-02 11:00:01 UTC")


def _forget_notebook(course: Path) -> None:
    (course / "submitted" / "ann" / "ps1" / "p2.ipynb").unlink()


def _delete_output(course: Path) -> None:
    shutil.rmtree(course / "autograded" / "ann" / "ps1")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_edit_submission, "changed: submission"),
        (_add_file, "changed: submission"),
        (_hand_in_later, "changed: submission"),
        (_forget_notebook, "changed: submission"),
        (_delete_output, "its graded notebook is gone"),
    ],
)
def test_a_changed_submission_is_graded_again(two: Path, change: Callable[[Path], None], said: str) -> None:
    """By its content, where nbgrader looks at the time stamp alone; the other student's is left."""
    change(two)
    assert why(two) == {"ann": said}


def test_changed_tests_grade_everybody_again(two: Path) -> None:
    """A test that the author mends and releases judges all submissions."""
    path = two / "source" / "ps1" / "p1.ipynb"
    path.write_text(path.read_text().replace("square(2) == 4", "square(2) == 5"))
    foreign.release(two, "ps1")
    assert why(two) == {"ann": "changed: tests", "bea": "changed: tests"}
    assert foreign.grades(two, "ann")["test_square"] == (0, False)


def test_a_changed_file_of_the_assignment_counts_as_tests(two: Path) -> None:
    """Data that the notebook reads decides the grade too."""
    (two / "source" / "ps1" / "data.csv").write_text("5\n")
    assert set(why(two)) == {"ann", "bea"}


def test_another_version_judges_again(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new torch may give another grade."""
    monkeypatch.setattr(inputs, "versions", lambda: ("torch 99",))
    assert set(why(two).values()) == {"changed: versions or limits"}


def test_another_limit_judges_again(two: Path) -> None:
    """More time may give another grade."""
    assert set(why(two, "--Execute.timeout=20").values()) == {"changed: versions or limits"}


def test_force_grades_all(two: Path) -> None:
    """nbgrader's --force."""
    assert why(two, "--force") == {}  # the flag is the application's: a script says force=True
    plan = Plan()
    grade(two, force=True, watch=plan)
    assert plan.why == {"ann": "forced", "bea": "forced"}


def test_a_forced_run_is_finished_without_force(two: Path) -> None:
    """What a run set out to grade again counts as not graded from then on, whenever it is killed."""

    def killed(job: Job) -> Result:
        raise KeyboardInterrupt

    grade(two, force=True, execute=killed)
    assert why(two) == {"ann": "new", "bea": "new"}


def test_leftovers_of_a_killed_run_are_removed(two: Path) -> None:
    """What it had built beside autograded/ goes with the next run that grades the submission."""
    left = two / "autograded" / "ann" / ".ps1.torchdojo-old"
    left.mkdir()
    _edit_submission(two)
    grade(two)
    assert not left.exists()


def test_another_gradebook_is_another_story(two: Path) -> None:
    """A gradebook that was deleted and made anew, or another with --db, has no grades yet."""
    (two / "gradebook.db").unlink()
    foreign.add_assignment(two)
    foreign.release(two, "ps1")
    assert why(two) == {"ann": "new", "bea": "new"}


def test_one_notebook_of_two(two: Path) -> None:
    """--notebook grades only that one again, and keeps what is known of the other."""
    _edit_submission(two)
    assert why(two, "--notebook=p2") == {}
    assert why(two, "--notebook=p1") == {"ann": "changed: submission"}
    ann = by_student(grade(two))["ann"]
    assert [(each.name, each.score) for each in ann.notebooks] == [("p1", 5), ("p2", 2)]


def test_one_notebook_does_not_hide_a_failure_of_the_other(two: Path) -> None:
    """A notebook that could not be read is tried again, whatever became of the other meanwhile."""
    path = two / "submitted" / "ann" / "ps1" / "p2.ipynb"
    path.write_text("nonsense")
    grade(two)
    grade(two, "--notebook=p1")
    assert why(two) == {"ann": "changed: submission"}


def test_a_failure_is_tried_again(two: Path) -> None:
    """What is not recorded is tried again each time; what is recorded is not."""
    (two / "submitted" / "bea" / "ps1" / "p1.ipynb").write_text("nonsense")
    assert set(why(two)) == {"bea"}
    assert set(why(two)) == {"bea"}


def test_an_entry_comes_back_whole(tmp_path: Path) -> None:
    """What is written to the journal is read from it, record by record."""
    notebook = NotebookGrade("p1", Status.STOPPED, "s", 1.0, 2.0, ("n",), ("c",), ("t",), SlowCell("t", 2.0), 3.0, 2.0)
    graded = Graded("ps1", "ann", Status.STOPPED, "s", True, False, 1.0, 2.0, 0.5, (notebook,))
    hashes = {"p1": Inputs("a", "b", "c")}
    with Journal(tmp_path / "state", "sqlite:///x") as journal:
        journal.write(graded, hashes, "id")
    with Journal(tmp_path / "state", "sqlite:///x") as journal:
        entry = journal.entries("ps1")["ann"]
        assert (entry.graded, entry.inputs, entry.submission_id) == (graded, hashes, "id")
        journal.reopen("ps1", ["ann"])
        assert not journal.entries("ps1")["ann"].graded.recorded
    with Journal(tmp_path / "state", "sqlite:///another") as journal:
        assert journal.entries("ps1") == {}


def test_a_journal_of_the_future_is_refused(tmp_path: Path) -> None:
    """An older torchdojo does not guess at a newer one's file."""
    with Journal(tmp_path, "x"):
        pass
    with contextlib.closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OursError, match="format 99, expected 1"):
        Journal(tmp_path, "x")


# ------------------------------------------------------------------------------------------- kill -9


def _in_a_child(course: Path) -> int:
    """Autograde in a forked process; its id."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            grade(course)
            os._exit(0)
        os._exit(1)
    return pid


def _state(course: Path) -> object:
    return rows(course), tree(course), notebooks(course)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_moment_it_finishes_the_rest(course: Path, tmp_path: Path) -> None:
    """Killed 50 times at random moments, then run to the end: as if nothing had happened, each submission once."""
    for number in range(4):
        foreign.submit(course, f"s{number}", foreign.solve if number % 2 else None)
    undisturbed = Path(shutil.copytree(course, tmp_path / "undisturbed" / "course"))
    began = time.monotonic()
    grade(undisturbed)
    whole_s = time.monotonic() - began
    draw = random.Random(4)
    kills, finished = 0, 0
    while kills < 50:
        pid = _in_a_child(course)
        time.sleep(draw.uniform(0, 1.1 * whole_s))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        kills += os.WIFSIGNALED(status)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            finished += 1
            for part in (".torchdojo", "autograded"):
                shutil.rmtree(course / part)
            with contextlib.closing(sqlite3.connect(course / "gradebook.db")) as db:
                for table in ("grade", "comment", "submitted_notebook", "submitted_assignment", "student"):
                    db.execute(f"DELETE FROM {table}")
                db.commit()
    report = grade(course)
    assert report.exit_status == 0
    assert _state(course) == _state(undisturbed)
    assert not list((course / "autograded").rglob(".*torchdojo*"))

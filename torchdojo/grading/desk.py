"""Where a batch works: the gradebook, the journal and a lock, open for one assignment; what must be graded, and why."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from nbgrader.api import MissingEntry
from rapidfuzz import process

from torchdojo.errors import AuthorError, OursError
from torchdojo.grading.autograded import remove_leftovers
from torchdojo.grading.folder import CourseFolder, Submission
from torchdojo.grading.gradebook import AnswerKey, Ledger, is_missing, patiently
from torchdojo.grading.inputs import Inputs, hash_of_judge, hash_of_submission, hash_of_tests
from torchdojo.grading.journal import Entry, Journal
from torchdojo.grading.prepare import Prepared, Terms, prepare, resources_for
from torchdojo.grading.record import enter_early, record
from torchdojo.grading.status import Graded, Status, worst
from torchdojo.grading.steps import is_known
from torchdojo.isolation.plain import plain_record
from torchdojo.kernels.job import Result

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Planned:
    """A submission and why it must be graded: "new", "changed: tests"; nothing when its grade stands."""

    submission: Submission
    inputs: dict[str, Inputs]
    why: str
    entry: Entry | None = None


class Desk:
    """Opens, for `with`, what grading an assignment needs. The gradebook is checked before anything runs.

    Args:
        folder: the course.
        assignment: its name.
        terms: under which its jobs run.
        on_wait: called with a sentence when somebody else holds the gradebook.
        lock_wait_s: how long to wait then.

    Raises: AuthorError and OursError as `autograde` says.
    """

    def __init__(
        self,
        folder: CourseFolder,
        assignment: str,
        terms: Terms,
        on_wait: Callable[[str], None],
        lock_wait_s: float,
    ) -> None:
        self.folder, self.assignment, self.terms = folder, assignment, terms
        self._on_wait, self._lock_wait_s = on_wait, lock_wait_s
        self._open = contextlib.ExitStack()
        self._earlier: dict[str, Entry] = {}

    def __enter__(self) -> Self:
        with self._open as stack:
            stack.enter_context(contextlib.chdir(self.folder.root))  # as nbgrader: a course's own steps may rely on it
            stack.enter_context(_alone(self.folder))
            self._patiently(self._open_gradebook)
            self.journal = stack.enter_context(Journal(self.folder.state, self.folder.coursedir.db_url))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()

    def _open_gradebook(self) -> None:
        db_url = self.folder.coursedir.db_url
        if is_missing(db_url):
            raise AuthorError(
                f"{db_url}: there is no gradebook. Type `nbgrader generate_assignment {self.assignment}` first."
            )
        before, after = self.folder.autograde_steps
        steps = [*self.folder.sanitize_steps, *before, *after]
        self.ledger = Ledger(db_url, self.folder.coursedir.course_id, holds=all(is_known(step) for step in steps))
        self._open.callback(self.ledger.close)
        self.ledger.make_sure_it_can_be_written()
        self.key = AnswerKey(db_url)
        self._open.callback(self.key.close)

    def _patiently(self, act: Callable[[], None]) -> None:
        patiently(act, self.folder.coursedir.db_url, wait_s=self._lock_wait_s, on_wait=self._on_wait)

    # -------------------------------------------------------------------------------------------- plan

    def plan(self, *, force: bool) -> list[Planned]:
        """Every submission, with why it must be graded."""
        submissions = self.folder.submissions(self.assignment)
        if not submissions:
            return []
        tests = self._hashes_of_tests()
        judge = self._hash_of_judge()
        self._earlier, ids = self.journal.entries(self.assignment), self.ledger.submission_ids(self.assignment)
        plan = []
        for submission in submissions:
            inputs = self._inputs(submission, tests, judge)
            entry = self._earlier.get(submission.student)
            stands = entry is not None and entry.graded.recorded and entry.submission_id == ids.get(submission.student)
            why = "forced" if force else self._why(submission, inputs, entry if stands else None)
            plan.append(Planned(submission, inputs, why, entry))
        return plan

    def begin(self, todo: list[Planned]) -> None:
        """From here on these count as not graded, until `record` says otherwise. Leftovers of a killed run go."""
        self.journal.reopen(self.assignment, [planned.submission.student for planned in todo])
        for planned in todo:
            remove_leftovers(self.folder, planned.submission)
        for step in self.folder.once_steps if todo else []:
            place = resources_for(self.folder, todo[0].submission, "", self.folder.root)
            self._patiently(functools.partial(step.preprocess, None, place))

    def _why(self, submission: Submission, inputs: Mapping[str, Inputs], entry: Entry | None) -> str:
        if entry is None:
            return "new"
        place = self.folder.autograded(self.assignment, submission.student)
        whole = self.folder.coursedir.notebook_id == "*"
        outputs = [place] if whole else [place / f"{name}.ipynb" for name in inputs]
        if not all(path.exists() for path in outputs):
            return "its graded notebook is gone"
        if whole and set(inputs) != set(entry.inputs):
            return "changed: submission"
        return next(filter(None, (each.difference(entry.inputs.get(name)) for name, each in inputs.items())), "")

    def _hashes_of_tests(self) -> dict[str, str]:
        """By notebook of the assignment. Raises AuthorError when it was never released."""
        try:
            assignment = self.key.find_assignment(self.assignment)
        except MissingEntry as error:
            raise AuthorError(
                f"Assignment '{self.assignment}' is not in the gradebook {self.folder.coursedir.db_url}. Type "
                f"`nbgrader generate_assignment {self.assignment}` first."
            ) from error
        files = sorted(self.folder.given_files(self.assignment).items())
        return {
            notebook.name: hash_of_tests(self.key.find_notebook(notebook.name, self.assignment), files)
            for notebook in assignment.notebooks
        }

    def _hash_of_judge(self) -> str:
        terms = self.terms
        return hash_of_judge(
            limits=repr(terms.limits(1)),
            device=terms.device,
            threads=terms.threads,
            seed=terms.seed,
            isolated=terms.isolated,
            execute=terms.execute,
        )

    def _inputs(self, submission: Submission, tests: Mapping[str, str], judge: str) -> dict[str, Inputs]:
        files = sorted(self.folder.brought_files(submission).items())
        return {
            name: Inputs(hash_of_submission(submission.folder / f"{name}.ipynb", files), tests[name], judge)
            for name in submission.notebooks
            if name in tests
        }

    def nothing_to_grade(self) -> str:
        """What to say when no submission was found."""
        wanted = self.folder.submitted(self.assignment, self.folder.coursedir.student_id)
        there = {path.name for path in wanted.parent.parent.glob("*/*") if path.is_dir()}
        near = process.extractOne(self.assignment, sorted(there))
        return f"No submission matches {wanted}." + (f" Did you mean '{near[0]}'?" if near else "")

    # ---------------------------------------------------------------------------------- one submission

    def prepare(self, planned: Planned) -> Prepared:
        """Sanitise it. Nothing is written, unless the course's own steps want to find it in the gradebook."""
        submission = planned.submission
        try:
            self._hook(submission, self.folder.converter.run_pre_convert_hook)
            if not self.ledger.holds and self._may_be_graded(submission.student):
                self._patiently(functools.partial(enter_early, self.folder, self.ledger, submission))
            return prepare(self.folder, self.key, submission, planned.inputs, self.terms)
        except OursError:
            raise
        except Exception as error:
            return self._ours(Prepared(submission, inputs=planned.inputs), error)

    def record(self, prepared: Prepared, results: Mapping[str, Result]) -> Graded:
        """Write its grade, and then that it stands.

        Raises: OursError when the gradebook or the disk cannot take it: the batch cannot go on.
        """
        graded = Graded(self.assignment, prepared.submission.student, Status.OURS)

        def act() -> None:
            nonlocal graded
            graded = record(self.folder, self.ledger, prepared, results)

        try:
            if prepared.status is None and not self._may_be_graded(prepared.submission.student):
                prepared.status, prepared.notebooks = Status.REFUSED, []
                prepared.sentence = (
                    f"no student '{prepared.submission.student}' is in the gradebook, and Autograde.create_student is "
                    f"False. Type `nbgrader db student add {prepared.submission.student}`, and autograde again."
                )
            self._patiently(act)
            self._hook(prepared.submission, self.folder.converter.run_post_convert_hook)
        except OursError:
            raise
        except Exception as error:
            act_on = self._ours(prepared, error)
            graded = Graded(self.assignment, prepared.submission.student, Status.OURS, act_on.sentence)
        return self._enter_journal(prepared, graded)

    def _may_be_graded(self, student: str) -> bool:
        if self.folder.converter.create_student:
            return True
        try:
            self.ledger.find_student(student)
        except MissingEntry:
            return False
        finally:
            self.ledger.db.remove()
        return True

    def _enter_journal(self, prepared: Prepared, graded: Graded) -> Graded:
        graded = replace(plain_record(graded), student=graded.student)  # by that name it is found again
        inputs, earlier = prepared.inputs, self._earlier.get(prepared.submission.student)
        if self.folder.coursedir.notebook_id != "*" and graded.recorded and earlier and earlier.graded.recorded:
            graded, inputs = _with_the_others(earlier, graded, inputs)
        self.journal.write(graded, inputs, prepared.submission_id)
        return graded

    def _ours(self, prepared: Prepared, error: Exception) -> Prepared:
        """Something in torchdojo, or in a step of this course, raised: the others go on."""
        log.debug("%s of %s", self.assignment, prepared.submission.student, exc_info=error)
        prepared.status = Status.OURS
        prepared.sentence = (
            f"torchdojo, or a step of this course, failed ({type(error).__name__}: {error}). Type the same command "
            "with --debug for where, and report it."
        )
        prepared.notebooks = []
        return prepared

    def _hook(self, submission: Submission, hook: Callable[[], None]) -> None:
        """nbgrader's hooks around each submission. They log their own failures."""
        self.folder.converter.notebooks = [str(submission.folder / f"{name}.ipynb") for name in submission.notebooks]
        hook()


def _with_the_others(earlier: Entry, graded: Graded, inputs: dict[str, Inputs]) -> tuple[Graded, dict[str, Inputs]]:
    """Only some notebooks were graded now (`--notebook`): the others keep what is known of them."""
    now = {notebook.name for notebook in graded.notebooks}
    notebooks = (*graded.notebooks, *(each for each in earlier.graded.notebooks if each.name not in now))
    whole = replace(
        graded,
        status=worst([graded.status, *(each.status for each in notebooks)]),
        score=sum(each.score or 0.0 for each in notebooks),
        max_score=sum(each.max_score or 0.0 for each in notebooks),
        notebooks=tuple(sorted(notebooks, key=lambda each: each.name)),
    )
    return whole, {**earlier.inputs, **inputs}


@contextlib.contextmanager
def _alone(folder: CourseFolder) -> Iterator[None]:
    """One autograde at a time in a course. Raises AuthorError that names the other."""
    path = folder.state / "autograde.lock"
    try:
        folder.state.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise OursError(f"{path}: cannot be written ({error.strerror}). Make it writable, then type again.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise AuthorError(
                f"Another autograde is at work in {folder.root} (process {file.read().strip() or 'unknown'}). Let it "
                "finish, or stop it with Ctrl-C there: it keeps what it has recorded."
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield

"""A whole assignment: prepare → execute → record, whatever happens to one submission on the way.

folder = open_folder(Path("course"))
report = autograde(folder, "05-modules", executor=pool, execute=execute)
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import replace

from torchdojo.errors import AuthorError, OursError
from torchdojo.grading.desk import Desk, Planned
from torchdojo.grading.folder import CourseFolder
from torchdojo.grading.prepare import Prepared, Terms
from torchdojo.grading.status import BatchReport, Graded
from torchdojo.kernels.job import Job, JobStatus, Result


class Watch:
    """Hears of a batch as it goes. Its methods are called in the batch's own thread; by default they do nothing."""

    def planned(self, todo: Sequence[Planned], unchanged: Sequence[Graded]) -> None:
        """Once, before anything runs: what will be graded, and what stands already."""

    def graded(self, graded: Graded) -> None:
        """After each submission, as soon as its grade stands, or it is known that none can."""

    def waiting(self, sentence: str) -> None:
        """When somebody else holds the gradebook."""


class NothingToGrade(AuthorError):
    """No submission is there. nbgrader's exit status for it is 1."""

    exit_status = 1


def autograde(
    folder: CourseFolder,
    assignment: str,
    *,
    executor: Executor,
    execute: Callable[[Job], Result],
    terms: Terms,
    ahead: int = 6,
    force: bool = False,
    lock_wait_s: float = 60.0,
    watch: Watch | None = None,
) -> BatchReport:
    """Grade what came in for `assignment` and changed since it was last graded.

    Which students and notebooks is nbgrader's configuration (`--student`, `--notebook`), in `folder`.

    Args:
        folder: the course, from `open_folder`.
        assignment: its name.
        executor: where jobs run; anything of the shape of `concurrent.futures.Executor`.
        execute: runs one job; called there.
        terms: limits, device and so on, from `terms_for`.
        ahead: how many jobs are handed out before the first is back; twice the workers and a few.
        force: grade all of them again.
        lock_wait_s: how long to wait for a gradebook that somebody else holds, in seconds.
        watch: hears of each step.

    Returns: what came of each submission. An interrupt or a full disk ends it early, and says so there.

    Raises:
        NothingToGrade: no submission.
        AuthorError: an assignment that was never released, or another autograde at work in this course.
        OursError: the gradebook or the journal cannot be opened.
    """
    watch, began = watch or Watch(), time.monotonic()
    with Desk(folder, assignment, terms, watch.waiting, lock_wait_s) as desk:
        planned = desk.plan(force=force)
        if not planned:
            raise NothingToGrade(desk.nothing_to_grade())
        todo = [each for each in planned if each.why]
        graded = [replace(each.entry.graded, unchanged=True) for each in planned if each.entry and not each.why]
        watch.planned(todo, graded)
        desk.begin(todo)
        ended = Ended()
        with contextlib.closing(_executed(map(desk.prepare, todo), executor, execute, ahead)) as ready, ended:
            for prepared, results in ready:
                graded.append(desk.record(prepared, results))
                watch.graded(graded[-1])
    return BatchReport(
        assignment=assignment,
        graded=tuple(sorted(graded, key=lambda each: each.student)),
        seconds=time.monotonic() - began,
        interrupted=ended.interrupted,
        remaining=len(planned) - len(graded),
        halted=ended.halted,
    )


def plan(folder: CourseFolder, assignment: str, terms: Terms, *, force: bool = False) -> list[Planned]:
    """What `autograde` would grade, and why; nothing is written. Raises as `autograde` does."""
    with Desk(folder, assignment, terms, lambda _: None, 0.0) as desk:
        planned = desk.plan(force=force)
        if not planned:
            raise NothingToGrade(desk.nothing_to_grade())
        return planned


class Ended:
    """How the loop over submissions ended early, if it did: what is recorded stays, the caller gets a report."""

    interrupted = False
    halted = ""

    def __enter__(self) -> Ended:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if isinstance(error, KeyboardInterrupt):
            self.interrupted = True
        elif isinstance(error, OursError):
            self.halted = str(error)
        return isinstance(error, KeyboardInterrupt | OursError)


def _executed(
    submissions: Iterator[Prepared], executor: Executor, execute: Callable[[Job], Result], ahead: int
) -> Generator[tuple[Prepared, Mapping[str, Result]], None, None]:
    """Each submission with its results by job key, as they come back; no more than `ahead` jobs are out at once."""
    out: dict[Future[Result], tuple[Prepared, Job]] = {}
    results: dict[str, Result] = {}
    try:
        while True:
            while len(out) < ahead and (prepared := next(submissions, None)) is not None:
                for job in prepared.jobs:
                    out[executor.submit(execute, job)] = prepared, job
                if not prepared.jobs:
                    yield prepared, {}
            if not out:
                return
            done, _ = wait(out, return_when=FIRST_COMPLETED)
            for future in done:
                prepared, job = out.pop(future)
                results[job.key] = _result(future, job)
                if all(each.key in results for each in prepared.jobs):
                    yield prepared, {each.key: results.pop(each.key) for each in prepared.jobs}
    finally:
        for future in out:
            future.cancel()


def _result(future: Future[Result], job: Job) -> Result:
    """A job never fails its batch: a runner that breaks is our fault, for that job."""
    error = future.exception()
    if error is None:
        return future.result()
    logging.getLogger(__name__).debug("job %s", job.key, exc_info=error)
    sentence = f"the runner failed ({type(error).__name__}: {error}). Type the same command again."
    return Result(key=job.key, status=JobStatus.OURS, sentence=sentence)


__all__ = ["BatchReport", "NothingToGrade", "Watch", "autograde", "plan"]

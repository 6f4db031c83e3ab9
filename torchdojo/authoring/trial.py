"""One trial: an exercise's tests against one way to write it, in a forked process with a time limit."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from torchdojo.authoring.guesser import ANSWERS, Guesser
from torchdojo.authoring.scratch import defined_names, scratch_student
from torchdojo.checks import CheckReport, NamespaceStudent, TestOutcome, Verdict, run_tests
from torchdojo.checks.compiled import compile_tests, test_names
from torchdojo.checks.outcome import score
from torchdojo.checks.session import OpenSession, in_session
from torchdojo.isolation.checker import check_isolated
from torchdojo.isolation.server import host
from torchdojo.notebook import Exercise

WRONG_VERDICTS = (Verdict.WRONG, Verdict.RAISED, Verdict.NOT_ATTEMPTED)
MUTANT_BYTES = 8 * 2**30  # a loop that no longer ends may also fill the memory


@dataclass(frozen=True, slots=True)
class Trial:
    """What to try: `sources` in the place of the exercise's solution, with random numbers from `seed`.

    `kind` is reference, solution, misconception, starter, guesser or mutant; a guesser's `key` says what it answers.
    A mutant's trial ends at the first test that it fails.
    """

    exercise: Exercise
    kind: str
    key: str
    sources: tuple[str, ...]
    seed: int = 0
    threads: int = 1
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of a trial. `broken` says why its code could not even be defined, if so.

    `stopped`: its process died or took too long, so that the tests after the one at work are not known.
    """

    trial: Trial
    report: CheckReport
    broken: str = ""
    stopped: bool = False
    seconds: float = 0.0


@dataclass(slots=True)
class _Running:
    trial: Trial
    process: Any
    pipe: Connection
    started: float
    current: str = ""
    outcomes: dict[str, TestOutcome] = field(default_factory=dict)


def run_trials(
    trials: Sequence[Trial], namespace: dict[str, Any], *, workers: int, limit_s: float
) -> Iterator[TrialResult]:
    """Run trials, `workers` at a time, each in a child forked from this process; yield results as they end.

    Args:
        trials: what to try.
        namespace: the notebook's names after its given cells and reference solutions ran.
        workers: how many children at once.
        limit_s: seconds a trial may take; then the test at work counts as raised, those after it as skipped.
    """
    context = multiprocessing.get_context("fork")
    waiting, running = list(reversed(trials)), dict[Connection, _Running]()
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                trial = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_child, args=(trial, namespace, theirs))
                sys.stdout.flush()
                process.start()
                theirs.close()
                running[ours] = _Running(trial, process, ours, time.monotonic())
            deadline = min(r.started + limit_s for r in running.values())
            for ready in wait(list(running), timeout=max(0.0, deadline - time.monotonic())):
                pipe = cast(Connection, ready)
                result = _read(running[pipe])
                if result is not None:
                    _end(running.pop(pipe))
                    yield result
            for pipe, entry in list(running.items()):
                if time.monotonic() - entry.started >= limit_s:
                    _end(running.pop(pipe))
                    yield _stopped(entry, "Timeout", f"Stopped after {limit_s:g} s.")
    finally:
        for entry in running.values():
            _end(entry)


def _child(trial: Trial, namespace: dict[str, Any], pipe: Connection) -> None:
    os.setsid()
    with open(os.devnull, "r+b", buffering=0) as null:
        for descriptor in (0, 1, 2):
            os.dup2(null.fileno(), descriptor)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(trial.threads)
    exercise = trial.exercise
    if trial.kind == "guesser":
        pipe.send(("report", _best_guess(trial)))
        return
    if trial.kind == "mutant":
        resource.setrlimit(resource.RLIMIT_DATA, (MUTANT_BYTES, MUTANT_BYTES))
    own = defined_names(exercise.sources)
    try:
        student = scratch_student(trial.sources, namespace, leave_out=own)
    except BaseException as error:  # a variant's code may raise anything; all of it is the author's to read
        pipe.send(("broken", f"{type(error).__name__}: {error}"))
        return

    def told(name: str, outcome: TestOutcome | None) -> None:
        pipe.send(("test", (name, outcome)))
        if trial.kind == "mutant" and outcome is not None and outcome.verdict in WRONG_VERDICTS:
            pipe.send(("report", CheckReport(0.0, exercise.points, (outcome,))))
            os._exit(0)

    if trial.isolated:
        with _hosted(student) as control:
            report = check_isolated(exercise.tests, exercise.points, control, seed=trial.seed, on_outcome=told)
    else:
        report = run_tests(exercise.tests, student, exercise.points, seed=trial.seed, on_outcome=told)
    pipe.send(("report", report))


def _best_guess(trial: Trial) -> CheckReport:
    """The report of the guess that earns most. All in one process: a guess computes nothing that could go wrong."""
    exercise = trial.exercise
    code = compile_tests(exercise.tests)

    def guess(session: OpenSession) -> Iterator[CheckReport]:
        for answer, objects in itertools.product(ANSWERS.values(), (False, True)):
            student = Guesser(answer, objects=objects)
            yield session.run(exercise.tests, student, exercise.points, seed=trial.seed, code=code)

    return in_session(lambda session: max(guess(session), key=lambda report: report.points))


@contextmanager
def _hosted(student: NamespaceStudent) -> Iterator[socket.socket]:
    """The student in a process of its own; the socket by which a checker connects."""
    ours, theirs = socket.socketpair()
    process = os.fork()
    if process == 0:
        ours.close()
        with suppress(BaseException):
            host(theirs, student)
        os._exit(0)
    theirs.close()
    with ours:
        yield ours


def _read(entry: _Running) -> TrialResult | None:
    try:
        kind, value = entry.pipe.recv()
    except (EOFError, OSError):
        entry.process.join(5)
        return _stopped(entry, "ProcessDied", f"The process ended with status {entry.process.exitcode}.")
    if kind == "test":
        name, outcome = value
        entry.current = name
        if outcome is not None:
            entry.outcomes[name] = outcome
        return None
    seconds = time.monotonic() - entry.started
    if kind == "broken":
        report = CheckReport(0.0, entry.trial.exercise.points, ())
        return TrialResult(entry.trial, report, broken=value, seconds=seconds)
    return TrialResult(entry.trial, value, seconds=seconds)


def _stopped(entry: _Running, exception: str, message: str) -> TrialResult:
    exercise = entry.trial.exercise
    outcomes = []
    for name in test_names(exercise.tests):
        word = f"raised {exception}" if name == entry.current else "skipped"
        verdict = Verdict.RAISED if name == entry.current else Verdict.SKIPPED
        stopped = TestOutcome(name, name, verdict, message=message, exception=exception, cases=(word,))
        outcomes.append(entry.outcomes.get(name, stopped))
    report = CheckReport(score(exercise.points, tuple(outcomes)), exercise.points, tuple(outcomes))
    return TrialResult(entry.trial, report, stopped=True, seconds=time.monotonic() - entry.started)


def _end(entry: _Running) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(entry.process.pid, signal.SIGKILL)  # its own session: workers it left behind go with it
    entry.process.join()
    entry.pipe.close()

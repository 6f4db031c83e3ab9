"""The gate: every right solution passes, the starter earns nothing, every wrong idea is caught by the test it names."""

from __future__ import annotations

import contextlib
import io
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torchdojo.authoring.starter import starter
from torchdojo.authoring.trial import WRONG_VERDICTS, Trial, TrialResult, run_trials
from torchdojo.checks import Verdict
from torchdojo.checks.compiled import test_names
from torchdojo.errors import AuthorError
from torchdojo.kernels.preload import modules_in, one_thread, preload
from torchdojo.notebook import Exercise, Notebook, read


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend: where, and what to do."""

    exercise: str
    subject: str
    message: str

    def __str__(self) -> str:
        return f"{self.exercise}: {self.subject}: {self.message}"


@dataclass(frozen=True, slots=True)
class ExerciseReport:
    """The gate's word on one exercise: the table misconception × test, and findings."""

    exercise: Exercise
    tests: tuple[str, ...]
    rows: tuple[tuple[str, dict[str, str]], ...]  # misconception -> test -> outcome word
    findings: tuple[Finding, ...]
    right_trials: int
    seconds: float


def verify(
    path: Path,
    *,
    exercises: Sequence[str] = (),
    seeds: Sequence[int] = (0, 1, 2),
    threads: Sequence[int] = (1,),
    isolated: bool = True,
    workers: int = 2,
    limit_s: float = 120.0,
    on_result: Callable[[TrialResult, int, int], None] | None = None,
) -> list[ExerciseReport]:
    """Judge the tests of the source notebook at `path`.

    Args:
        path: a source notebook.
        exercises: names; all when empty.
        seeds: random numbers of the tests start from each of them.
        threads: torch's thread counts to try right solutions on.
        isolated: try everything once more with the student's code in a process of its own; the word must be the same.
        workers: processes at once.
        limit_s: seconds one trial may take.
        on_result: called in this process after each trial with it, how many are done, and how many there are.

    Raises:
        AuthorError: the notebook cannot be read, or one of its given cells or reference solutions raises.
    """
    notebook = read(path)
    chosen = [notebook.exercise(name) for name in exercises] or list(notebook.exercises)
    trials = [trial for exercise in chosen for trial in _trials(exercise, seeds, threads, isolated)]
    namespace = run_given_cells(notebook)
    results = defaultdict[str, list[TrialResult]](list)
    for done, result in enumerate(run_trials(trials, namespace, workers=workers, limit_s=limit_s), start=1):
        results[result.trial.exercise.name].append(result)
        if on_result is not None:
            on_result(result, done, len(trials))
    return [judge(exercise, results[exercise.name]) for exercise in chosen]


def run_given_cells(notebook: Notebook) -> dict[str, Any]:
    """Run everything but tests and variants in a plain IPython shell; the names that are there afterwards.

    One thread only: a process that ran a torch operation on two cannot fork sound children.
    """
    os.environ.setdefault("MPLBACKEND", "agg")
    one_thread()
    preload(modules_in([s for _, s in notebook.given] + [e.tests for e in notebook.exercises]))
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.reset(new_session=False)
    shell.history_manager.enabled = False
    before = os.getcwd()
    os.chdir(notebook.path.parent)
    output = io.StringIO()
    try:
        for index, source in notebook.given:
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                outcome = shell.run_cell(source, store_history=False)
            if not outcome.success:
                error = outcome.error_before_exec or outcome.error_in_exec
                raise AuthorError(
                    f"{notebook.path}: cell {index + 1} raises {type(error).__name__}: {error}. "
                    "Given cells and reference solutions must run, in order, without their tests."
                )
    finally:
        os.chdir(before)
    return dict(shell.user_ns)


def judge(exercise: Exercise, results: Sequence[TrialResult]) -> ExerciseReport:
    """What is wrong with an exercise's tests, from its trials. A plain function of records."""
    tests = tuple(test_names(exercise.tests))
    findings = _about_the_other_process(exercise, results)
    results = [r for r in results if not r.trial.isolated]
    findings += [*_about_right(exercise, results), *_about_starter(exercise, results)]
    findings += _about_guesser(exercise, results)
    findings += _about_misconceptions(exercise, tests, results)
    return ExerciseReport(
        exercise=exercise,
        tests=tests,
        rows=misconception_rows(exercise, results),
        findings=tuple(findings),
        right_trials=sum(r.trial.kind in ("reference", "solution") for r in results),
        seconds=sum(r.seconds for r in results),
    )


def misconception_rows(exercise: Exercise, results: Sequence[TrialResult]) -> tuple[tuple[str, dict[str, str]], ...]:
    """What came of each misconception at each test, in a word or two, by the first of its trials."""
    rows = []
    for variant in exercise.misconceptions:
        first = next((r for r in results if r.trial.kind == "misconception" and r.trial.key == variant.key), None)
        if first is not None:
            rows.append((variant.key, {o.name: _word(o) for o in first.report.outcomes}))
    return tuple(rows)


def _trials(exercise: Exercise, seeds: Sequence[int], threads: Sequence[int], isolated: bool) -> list[Trial]:
    reference = exercise.sources
    trials = [
        Trial(exercise, "starter", "starter", tuple(starter(source) for source in reference)),
        Trial(exercise, "guesser", "guesser", ()),
    ]
    for count in threads:
        for seed in seeds:
            trials.append(Trial(exercise, "reference", "reference", reference, seed, count))
            trials += [Trial(exercise, "solution", v.key, (v.source,), seed, count) for v in exercise.solutions]
    for seed in seeds:
        trials += [Trial(exercise, "misconception", v.key, (v.source,), seed) for v in exercise.misconceptions]
    if isolated:  # once each: what differs between the two ways does not depend on the seed
        first = [t for t in trials if t.kind != "guesser" and t.seed == seeds[0] and t.threads == threads[0]]
        trials += [replace(trial, isolated=True) for trial in first]
    return trials


def _about_right(exercise: Exercise, results: Sequence[TrialResult]) -> list[Finding]:
    findings: dict[tuple[str, str], Finding] = {}
    for result in results:
        trial = result.trial
        if trial.kind not in ("reference", "solution"):
            continue
        subject = f"{trial.kind} {trial.key}" if trial.kind == "solution" else "the reference"
        if result.broken:
            findings[subject, ""] = Finding(exercise.name, subject, f"its code does not run: {result.broken}")
        for outcome in result.report.outcomes:
            if not outcome.passed:
                told = "; ".join(t for t in (outcome.message, outcome.expected, outcome.got) if t)
                where = f"seed {trial.seed}, {trial.threads} thread(s)"
                message = f"{outcome.name} refuses it ({where}): {outcome.verdict}. {told}"
                findings.setdefault((subject, outcome.name), Finding(exercise.name, subject, message))
        if not result.report.outcomes and not result.broken:
            findings[subject, ""] = Finding(exercise.name, subject, "no test ran. Add tests to its grade cell.")
    return list(findings.values())


def _about_the_other_process(exercise: Exercise, results: Sequence[TrialResult]) -> list[Finding]:
    """The same tests on the same code must say the same, whether it runs beside them or in a process of its own."""
    beside = {_which(r.trial): r for r in results if not r.trial.isolated}
    findings = []
    for result in results:
        if not result.trial.isolated or result.stopped or beside[_which(result.trial)].stopped:
            continue  # a crash costs the whole trial beside the code and one test in another process
        other = {o.name: o for o in beside[_which(result.trial)].report.outcomes}
        for outcome in result.report.outcomes:
            here = other.get(outcome.name)
            if here is not None and _word(here) != _word(outcome):
                message = (
                    f"{outcome.name} says {_word(here)!r} beside the code and {_word(outcome)!r} in another process "
                    f"({outcome.message or outcome.got}). "
                    "Values travel, identity does not: ask in student.run(probe, …)."
                )
                findings.append(Finding(exercise.name, f"{result.trial.kind} {result.trial.key}", message))
                break
    return findings


def _which(trial: Trial) -> tuple[str, str, int, int]:
    return trial.kind, trial.key, trial.seed, trial.threads


def _about_guesser(exercise: Exercise, results: Sequence[TrialResult]) -> list[Finding]:
    findings = []
    for result in (r for r in results if r.trial.kind == "guesser" and r.report.points):
        free = ", ".join(o.name for o in result.report.outcomes if o.passed)
        message = f"earns {result.report.points:g} points by guessing ({free}). Make these depend on a test by value."
        findings.append(Finding(exercise.name, "a guesser", message))
    return findings


def _about_starter(exercise: Exercise, results: Sequence[TrialResult]) -> list[Finding]:
    findings = []
    for result in (r for r in results if r.trial.kind == "starter"):
        if result.broken:
            findings.append(
                Finding(exercise.name, "the starter", f"raises before anything is written: {result.broken}")
            )
        if result.report.points:
            free = ", ".join(o.name for o in result.report.outcomes if o.passed)
            message = (
                f"earns {result.report.points:g} points for nothing ({free}). Make these depend on a test by value."
            )
            findings.append(Finding(exercise.name, "the starter", message))
        for outcome in result.report.outcomes:
            if outcome.verdict in (Verdict.WRONG, Verdict.RAISED, Verdict.GRADER_FAILED):
                message = f"{outcome.name} says {outcome.verdict!s} ({outcome.message}), not 'not attempted'."
                findings.append(Finding(exercise.name, "the starter", message))
    return findings


def _about_misconceptions(exercise: Exercise, tests: tuple[str, ...], results: Sequence[TrialResult]) -> list[Finding]:
    findings: list[Finding] = []
    wrong = [r for r in results if r.trial.kind == "misconception"]
    variants = {v.key: v for v in exercise.misconceptions}
    catches: set[str] = set()
    told: set[str] = set()
    for result in wrong:
        key = result.trial.key
        caught_by = variants[key].caught_by
        failed = {o.name for o in result.report.outcomes if o.verdict in WRONG_VERDICTS}
        catches |= failed
        message = ""
        if result.broken:
            message = f"its code does not run: {result.broken}"
        elif caught_by not in tests:
            message = f"caught-by names {caught_by!r}, which is no test. Write one of: {', '.join(tests)}."
        elif any(o.verdict is Verdict.GRADER_FAILED for o in result.report.outcomes):
            faulty = next(o for o in result.report.outcomes if o.verdict is Verdict.GRADER_FAILED)
            message = f"{faulty.name} itself fails on it: {faulty.message}"
        elif not failed:
            message = f"nobody catches it (seed {result.trial.seed}). Sharpen {caught_by}, or drop it."
        elif caught_by not in failed:
            message = f"not caught by {caught_by} but by {', '.join(sorted(failed))} (seed {result.trial.seed})."
        if message and key not in told:
            told.add(key)
            findings.append(Finding(exercise.name, f"misconception {key}", message))
    if wrong:
        for name in tests:
            if name not in catches:
                message = "catches no misconception. Add one that it catches, sharpen the test, or remove it."
                findings.append(Finding(exercise.name, name, message))
    return findings + _about_fingerprints(exercise, wrong)


def _about_fingerprints(exercise: Exercise, wrong: Sequence[TrialResult]) -> list[Finding]:
    seed = min((r.trial.seed for r in wrong), default=0)
    by_print = defaultdict[Any, list[str]](list)
    for result in wrong:
        if result.trial.seed == seed and not result.broken:
            by_print[result.report.fingerprint].append(result.trial.key)
    pairs = {v.key: v.pair_with for v in exercise.misconceptions}
    findings = []
    for keys in by_print.values():
        alone = [k for k in keys if not any(pairs[k] == other or pairs[other] == k for other in keys if other != k)]
        if len(keys) > 1 and alone:
            message = (
                "have one pattern of outcomes. Add a test that tells them apart, "
                "or 'pair-with: <key> because …' to one of them."
            )
            findings.append(Finding(exercise.name, "misconceptions " + ", ".join(sorted(keys)), message))
    return findings


def _word(outcome: Any) -> str:
    return f"raised {outcome.exception}" if outcome.verdict is Verdict.RAISED else str(outcome.verdict)

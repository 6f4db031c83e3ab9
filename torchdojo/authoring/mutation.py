"""The tests of the tests: every mutant of a reference solution must fail one, or be written down as equivalent.

Owns the trials of mutants and the word on them; `mutants.py` makes them, `trial.py` runs them.
"""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchdojo.authoring.mutants import Mutant, mutants
from torchdojo.authoring.trial import WRONG_VERDICTS, Trial, TrialResult, run_trials
from torchdojo.authoring.verify import Finding, run_given_cells
from torchdojo.errors import AuthorError
from torchdojo.notebook import Exercise, Variant, read


@dataclass(frozen=True, slots=True)
class MutationReport:
    """What became of an exercise's mutants.

    `killed`: key -> the test that killed it, or how it ended. `equivalent`: key -> the author's reason.
    `findings` are `%%equivalent` cells that hold no more; survivors are not among them.
    """

    exercise: Exercise
    killed: dict[str, str]
    equivalent: dict[str, str]
    survivors: tuple[Mutant, ...]
    findings: tuple[Finding, ...]
    seconds: float

    @property
    def total(self) -> int:
        return len(self.killed) + len(self.equivalent) + len(self.survivors)


def mutate(
    path: Path,
    *,
    exercises: Sequence[str] = (),
    workers: int = 2,
    limit_s: float = 120.0,
    scratch: Path | None = None,
    on_result: Callable[[TrialResult, int, int], None] | None = None,
) -> list[MutationReport]:
    """Apply the tests of the source notebook at `path` to every mutant of its reference solutions, with seed 0.

    A mutant may take three times as long as its reference and 5 s; one that takes longer, dies or cannot even be
    defined is killed.

    Args:
        path: a source notebook.
        exercises: names; all when empty.
        workers: processes at once.
        limit_s: seconds that a reference may take.
        scratch: folder in which to make the trials' working directory, since a mutant may write where it is. One below
            course.yml, if tests look for the course's data from there; the system's for temporary files if None.
        on_result: called in this process after each trial with it, how many are done, and how many there are.

    Raises:
        AuthorError: the notebook cannot be read, a given cell raises, or a reference does not pass its tests.
    """
    notebook = read(path)
    chosen = [notebook.exercise(name) for name in exercises] or list(notebook.exercises)
    altered = {exercise.name: mutants(exercise.sources) for exercise in chosen}
    total = len(chosen) + sum(map(len, altered.values()))
    namespace = run_given_cells(notebook)
    done = itertools.count(1)

    def run(trials: Sequence[Trial], limit_s: float) -> Iterator[TrialResult]:
        for result in run_trials(trials, namespace, workers=workers, limit_s=limit_s):
            if on_result is not None:
                on_result(result, next(done), total)
            yield result

    reports = []
    with tempfile.TemporaryDirectory(dir=scratch, prefix="mutants-") as here, contextlib.chdir(here):
        for exercise in chosen:
            (reference,) = run([Trial(exercise, "reference", "reference", exercise.sources)], limit_s)
            if reference.broken or not reference.report.passed:
                raise AuthorError(
                    f"{path}: {exercise.name}: its reference does not pass its tests, so that mutants of it say "
                    f"nothing. Mend it first: torchdojo verify {path.stem} {exercise.name}."
                )
            trials = [Trial(exercise, "mutant", m.key, m.sources) for m in altered[exercise.name]]
            results = list(run(trials, 3 * reference.seconds + 5))
            reports.append(judge_mutants(exercise, altered[exercise.name], results, reference.seconds))
    return reports


def judge_mutants(
    exercise: Exercise, altered: Sequence[Mutant], results: Sequence[TrialResult], seconds: float = 0.0
) -> MutationReport:
    """Who killed whom, who survives, and which `%%equivalent` cells hold. A plain function of records."""
    ends = {result.trial.key: _end_of(result) for result in results}
    written = {variant.key: variant for variant in exercise.equivalents}
    by_key = {mutant.key: mutant for mutant in altered}
    killed = {mutant.key: ends[mutant.key] for mutant in altered if ends[mutant.key]}
    left = [mutant for mutant in altered if not ends[mutant.key]]
    equivalent = {m.key: written[m.key].header["because"] for m in left if _is_of(written.get(m.key), m)}
    findings = []
    for key, variant in written.items():
        message = ""
        if key not in by_key:
            message = "is no mutant's key. Remove it, or look up its key now."
        elif not _is_of(variant, by_key[key]):
            message = f"alters other lines now:\n{by_key[key].diff}\nWrite these below '---' if it is still equivalent."
        elif key in killed:
            message = f"is killed by {killed[key]}, so it is not equivalent. Remove it."
        if message:
            findings.append(Finding(exercise.name, f"equivalent {key} (cell {variant.cell + 1})", message))
    return MutationReport(
        exercise=exercise,
        killed=killed,
        equivalent=equivalent,
        survivors=tuple(mutant for mutant in left if mutant.key not in equivalent),
        findings=tuple(findings),
        seconds=seconds + sum(result.seconds for result in results),
    )


def _end_of(result: TrialResult) -> str:
    """What killed a mutant; nothing if it lives. A test that fails by its own fault costs nothing, so kills nobody."""
    if result.broken:
        return f"itself ({result.broken.splitlines()[0]})"
    failed = next((o for o in result.report.outcomes if o.verdict in WRONG_VERDICTS), None)
    if failed is None:
        return "its end before any test" if result.stopped else ""
    return f"{failed.name} ({failed.exception})" if result.stopped else failed.name


def _is_of(variant: Variant | None, mutant: Mutant) -> bool:
    if variant is None:
        return False
    lines = "\n".join(line.strip() for line in variant.source.splitlines())
    return lines == "\n".join(line.strip() for line in mutant.diff.splitlines())

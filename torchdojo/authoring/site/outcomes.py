"""What each test says of each misconception: found out by running them, and kept while nothing has changed."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torchdojo
from torchdojo.authoring.trial import Trial, TrialResult, run_trials
from torchdojo.authoring.verify import misconception_rows, run_given_cells
from torchdojo.course import Assignment, Course
from torchdojo.notebook import Notebook, read

_FIRST_GUESS_S = 1.0  # for a trial, its share of the notebook's start included: on two cores, all nine notebooks
_TORN = (ValueError, TypeError, OSError)  # a kept file that another version wrote, or nobody finished: run again


@dataclass(frozen=True, slots=True)
class Outcomes:
    """exercise -> misconception -> test -> "passed", "wrong", "raised ValueError", "skipped", …"""

    rows: Mapping[str, Mapping[str, Mapping[str, str]]]
    trials: int
    seconds: float


def kept(course: Course, assignment: Assignment) -> Outcomes | None:
    """What was found out about this very notebook, by this torchdojo and this torch; None where that is not known."""
    return _read(_file(course, assignment), _key(course, assignment))


def compute(
    course: Course,
    assignment: Assignment,
    *,
    workers: int,
    on_result: Callable[[TrialResult, int, int], None] | None = None,
) -> Outcomes:
    """Run all misconceptions of an assignment once, and keep what comes.

    Args:
        course: the course.
        assignment: one of it.
        workers: processes at once.
        on_result: called in this process after each trial with it, how many are done, and how many there are.

    Raises:
        AuthorError: the notebook cannot be read, or one of its given cells or reference solutions raises.
    """
    started = time.monotonic()
    key = _key(course, assignment)
    notebook = read(course.source_notebook(assignment))
    trials = _trials(notebook)
    results: list[TrialResult] = []
    limit_s = assignment.limits.cell_timeout_s
    for result in run_trials(trials, run_given_cells(notebook), workers=workers, limit_s=limit_s):
        results.append(result)
        if on_result is not None:
            on_result(result, len(results), len(trials))
    rows = {
        exercise.name: dict(misconception_rows(exercise, [r for r in results if r.trial.exercise is exercise]))
        for exercise in notebook.exercises
    }
    found = Outcomes(rows, len(trials), time.monotonic() - started)
    file = _file(course, assignment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"key": key, **asdict(found)}, indent=1) + "\n", encoding="utf-8")
    return found


def estimate(course: Course, assignment: Assignment) -> tuple[int, float]:
    """How many trials `compute` would run, and about how many seconds they take: as long as the last time."""
    count = len(_trials(read(course.source_notebook(assignment))))
    before = _read(_file(course, assignment), None)
    rate = before.seconds / before.trials if before and before.trials else _FIRST_GUESS_S
    return count, count * rate


def _trials(notebook: Notebook) -> list[Trial]:
    return [
        Trial(exercise, "misconception", variant.key, (variant.source,))
        for exercise in notebook.exercises
        for variant in exercise.misconceptions
    ]


def _file(course: Course, assignment: Assignment) -> Path:
    return course.root / ".torchdojo" / "site" / f"{assignment.name}.json"


def _key(course: Course, assignment: Assignment) -> str:
    versions = f"{torchdojo.__version__} {importlib.metadata.version('torch')} "
    return hashlib.sha256(versions.encode() + course.source_notebook(assignment).read_bytes()).hexdigest()


def _read(file: Path, key: str | None) -> Outcomes | None:
    """What is kept in a file; None where it has another key than `key`, if one is given."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        found = Outcomes(**{name: content[name] for name in ("rows", "trials", "seconds")})
    except (*_TORN, LookupError):
        return None
    return found if key in (None, content.get("key")) else None

"""The course as frozen records. What course.yml may say is in `course_keys.py`.

`python -m torchdojo.course` prints the JSON schema of course.yml.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zoneinfo import ZoneInfo

from torchdojo.errors import AuthorError

if TYPE_CHECKING:
    from torchdojo.course_keys import AssignmentKeys, CourseKeys

FILE = "course.yml"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one submission may use while it is graded."""

    cell_timeout_s: int
    notebook_timeout_s: int
    memory_mib: int
    output_mib: int
    disk_mib: int
    processes: int


@dataclass(frozen=True, slots=True)
class LateRule:
    """What coming late costs; by itself, nothing."""

    points_off_per_hour: float = 0.0
    zero_after_hours: float | None = None

    def penalty(self, score: float, seconds_late: float) -> float:
        """Points to take from `score`: from 0 to `score`. An hour begun counts whole."""
        if seconds_late <= 0:
            return 0.0
        if self.zero_after_hours is not None and seconds_late > 3600 * self.zero_after_hours:
            return score
        return min(score, self.points_off_per_hour * math.ceil(seconds_late / 3600))


@dataclass(frozen=True, slots=True)
class Runner:
    """A place where submissions run. `without_gpu` matters only to cuda."""

    device: Literal["cpu", "cuda"]
    workers: int | Literal["auto"]
    threads: int
    without_gpu: Literal["refuse", "cpu"]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One assignment, with its own limits or the course's.

    `notebook` is without `.ipynb`, as nbgrader names it. `due` knows its time zone; None is never late.
    `files` are the names and patterns that a submission may bring beside its notebook.
    """

    name: str
    notebook: str
    section: str
    title: str
    points: float
    due: datetime | None
    late: LateRule
    runner: str
    files: tuple[str, ...]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Course:
    """The whole of course.yml. `root` is its folder; `data` lies below it."""

    root: Path
    title: str
    course_id: str
    languages: tuple[str, ...]
    timezone: str
    data: Path
    sandbox: Literal["full", "partial", "none"]
    limits: Limits
    runners: Mapping[str, Runner]
    assignments: tuple[Assignment, ...]

    def assignment(self, name: str) -> Assignment:
        """The assignment of that name.

        Raises: AuthorError that suggests the nearest.
        """
        names = [assignment.name for assignment in self.assignments]
        if name in names:
            return self.assignments[names.index(name)]
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else f"Write one of: {', '.join(names)}."
        raise AuthorError(f"{self.root / FILE}: '{name}' is not an assignment of this course. {remedy}")

    def source_notebook(self, assignment: Assignment) -> Path:
        """The notebook that the instructor edits."""
        return self.root / "source" / assignment.name / f"{assignment.notebook}.ipynb"


def load(path: Path | None = None) -> Course:
    """The course in `path` (the file or its folder), or else in this folder or the nearest above.

    Raises: AuthorError with every mistake in the file, in the order of its lines.
    """
    # Not at the top: a runner unpickles these records and has no need of pydantic.
    from torchdojo import course_file

    file = _find() if path is None else path / FILE if path.is_dir() else path
    return _course(course_file.read(file), file.resolve().parent)


def json_schema() -> dict[str, Any]:
    """The JSON schema of course.yml, as committed in docs/course.schema.json."""
    from torchdojo import course_file

    return course_file.json_schema()


def _find() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    raise AuthorError(f"{FILE}: not found in {here} or a folder above. Go to a course's folder first.")


def _course(keys: CourseKeys, root: Path) -> Course:
    return Course(
        root=root,
        title=keys.title,
        course_id=keys.course_id,
        languages=keys.languages,
        timezone=keys.timezone,
        data=root / keys.data,
        sandbox=keys.sandbox,
        limits=Limits(**keys.limits.model_dump()),
        runners={
            name: Runner(runner.device, runner.workers, runner.threads, runner.without_gpu or "refuse")
            for name, runner in keys.runners.items()
        },
        assignments=tuple(_assignment(assignment, keys) for assignment in keys.assignments),
    )


def _assignment(keys: AssignmentKeys, course: CourseKeys) -> Assignment:
    return Assignment(
        name=keys.name,
        notebook=(keys.notebook or keys.name).removesuffix(".ipynb"),
        section=keys.section,
        title=keys.title,
        points=keys.points,
        due=keys.due and keys.due.replace(tzinfo=ZoneInfo(course.timezone)),
        late=LateRule(keys.late.points_off_per_hour or 0.0, keys.late.zero_after_hours),
        runner=keys.runner,
        files=keys.files,
        limits=Limits(**(course.limits.model_dump() | keys.limits.model_dump(exclude_unset=True))),
    )


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))

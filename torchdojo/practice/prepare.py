"""From a request to a job: which notebook, which tests, under which terms. Writes nothing, asks no gradebook.

The terms are autograde's (grading.runners), without what only nbgrader's configuration can say.
"""

from __future__ import annotations

import difflib
import fnmatch
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchdojo.authoring.languages import language_named, messages_of
from torchdojo.checks.language import ENGLISH, Language, language_of
from torchdojo.course import Assignment, Course, load
from torchdojo.datasets import readable_data
from torchdojo.errors import AuthorError, OursError
from torchdojo.grading.early import own_notebooks, preload_of
from torchdojo.isolation.judge import MODULES
from torchdojo.kernels.job import Job, Limits
from torchdojo.kernels.pool import has_gpu
from torchdojo.kernels.sandbox_probe import SandboxReport, require
from torchdojo.practice.attempt import (
    Cell,
    Exercise,
    Source,
    as_notebook,
    assemble,
    read_learners,
    read_metadata,
    read_source,
)
from torchdojo.practice.request import Request

_SKIPPED_FOLDERS = {"__pycache__", ".ipynb_checkpoints"}
Probe = Callable[..., SandboxReport]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A check, ready: `cells[i]` is the job's cell i. `following` is what comes after those asked for."""

    assignment: str
    cells: tuple[Cell, ...]
    exercises: tuple[Exercise, ...]
    following: str
    job: Job
    note: str = ""
    language: Language = ENGLISH


def prepare(request: Request, probe: Probe) -> Prepared:
    """Read the course, the source and the learner's notebook. `probe` is `sandbox_probe.probe`, or one that remembers.

    Raises:
        AuthorError: an unknown notebook or exercise, or a broken course.
        BrokenNotebook: what was named is no notebook.
        OursError: this machine lacks something that the course asks for.
    """
    course = load(Path(request.root))
    assignment, path = _find(course, request)
    source = read_source(course.source_notebook(assignment))
    exercises = source.chosen(request.exercises)
    cells = assemble(source, read_learners(path), exercises)
    device, note = _device(course, assignment)
    data = readable_data(course.data)
    sandbox: Any = request.sandbox or course.sandbox
    _require(course, assignment, sandbox, data, probe)
    job = Job(
        key=f"check/{assignment.name}",
        notebook=as_notebook(cells),
        files=_files(course, assignment, path.parent),
        limits=Limits(**{name: getattr(assignment.limits, name) for name in assignment.limits.__slots__}),
        device=device,
        threads=course.runners[assignment.runner].threads,
        preload=(*preload_of(own_notebooks(_own_folders(course, assignment))), *MODULES),
        environment=(("NBGRADER_EXECUTION", "validate"), *(("TORCHDOJO_DATA", folder) for folder in data)),
        sandbox=sandbox,
        read_only=data,
        isolated=tuple((i, c.exercise.points) for i, c in enumerate(cells) if c.is_tests and c.exercise),
    )
    following = _following(course, assignment, source, exercises)
    lang = language_named(read_metadata(path), course)
    language = language_of(lang, messages_of(course, assignment.name, lang))
    return Prepared(assignment.name, cells, exercises, following, job, note, language)


def _following(course: Course, assignment: Assignment, source: Source, exercises: Sequence[Exercise]) -> str:
    """The exercise after the last of `exercises`, or the assignment after this one, or ""."""
    after = source.exercises.index(exercises[-1]) + 1 if exercises else 0
    names = [exercise.name for exercise in source.exercises[after:]]
    names += [later.name for later in course.assignments[course.assignments.index(assignment) + 1 :]]
    return next(iter(names), "")


def _find(course: Course, request: Request) -> tuple[Assignment, Path]:
    """The assignment and the learner's notebook that were named."""
    typed = request.notebook
    by_name = {assignment.name: assignment for assignment in course.assignments}
    by_notebook = {f"{assignment.notebook}.ipynb": assignment for assignment in course.assignments}
    path = Path(request.here) / typed
    if path.is_file():
        known = by_notebook.get(path.name)
        if known is None:
            remedy = _near(path.name, list(by_notebook), "Rename it to {}, if it is that one.")
            raise AuthorError(f"{path.name} is no notebook of this course ({course.root}). {remedy}")
    elif typed in by_name:
        known = by_name[typed]
        path = course.root / "release" / known.name / f"{known.notebook}.ipynb"
        if not path.is_file():
            raise AuthorError(f"{path}: there is no such notebook. Type the path of your copy of it.")
    elif path.name in by_notebook and typed.endswith(".ipynb"):
        raise AuthorError(
            f"{path}: there is no such file. Type the path of your copy, or {by_notebook[path.name].name}."
        )
    else:
        remedy = _near(typed, [*by_name, *by_notebook], "Did you mean {}?")
        raise AuthorError(f"{typed!r} is neither a file nor an assignment of this course ({course.root}). {remedy}")
    if path.resolve() == course.source_notebook(known).resolve():
        raise AuthorError(f"{path} is the instructor's, with the solutions. Check a learner's: {known.name}.")
    return known, path


def _near(name: str, names: Sequence[str], words: str) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return words.format(near[0]) if near else f"Type one of: {', '.join(names)}."


# ------------------------------------------------------------------------------------------------ terms


def _device(course: Course, assignment: Assignment) -> tuple[str, str]:
    """The device, and what a reader must know of it."""
    runner = course.runners[assignment.runner]
    if runner.device == "cpu" or has_gpu():
        return runner.device, ""
    if runner.without_gpu == "refuse":
        raise OursError(
            f"{assignment.name} is for a GPU (runner '{assignment.runner}'), and this machine has none. Check it on "
            "one that has, or write without_gpu: cpu in course.yml."
        )
    return "cpu", "It runs on the CPU: this machine has no GPU."


def _require(course: Course, assignment: Assignment, level: Any, data: tuple[str, ...], probe: Probe) -> None:
    if level == "none":
        return
    hidden = (course.root / "gradebook.db", course.source_notebook(assignment).parent)
    require(level, probe(data, tuple(str(path) for path in hidden if path.exists()), at_most=level))


# ------------------------------------------------------------------------------------------------ files


def _own_folders(course: Course, assignment: Assignment) -> list[Path]:
    return [course.root / step / assignment.name for step in ("source", "release")]


def _files(course: Course, assignment: Assignment, folder: Path) -> tuple[tuple[str, bytes], ...]:
    """What lies beside the notebook when it runs: the assignment's own files, and what a learner may bring."""
    paths: dict[str, Path] = {}
    if assignment.files:
        brought = dict(_files_in(folder))
        paths = {n: p for n, p in brought.items() if any(fnmatch.fnmatch(n, pattern) for pattern in assignment.files)}
    paths |= dict(_files_in(course.source_notebook(assignment).parent))
    size_mib = sum(path.stat().st_size for path in paths.values()) / 2**20
    if 0 < assignment.limits.disk_mib < size_mib:
        raise AuthorError(
            f"{len(paths)} files of {size_mib:.0f} MiB lie beside the notebook, the limit is "
            f"{assignment.limits.disk_mib} (disk_mib). Move what is not needed out of {folder}."
        )
    return tuple((name, path.read_bytes()) for name, path in sorted(paths.items()))


def _files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Files but notebooks and catalogues, by name below `folder`; links that lead out of it are passed over."""
    inside = folder.resolve()
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for name in names:
            path = Path(at, name)
            if (
                path.suffix not in (".ipynb", ".pyc", ".po")
                and path.is_file()
                and path.resolve().is_relative_to(inside)
            ):
                yield path.relative_to(folder).as_posix(), path

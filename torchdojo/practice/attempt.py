"""A learner's notebook with the instructor's tests in it, ready to run. Reads cells; runs nothing."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchdojo.errors import AuthorError, StudentError
from torchdojo.grade_cell import check_points, points_in_check
from torchdojo.kernels.cells import CodeCell, Unreadable, code_cells

_LABEL_CHARS = 50


class BrokenNotebook(StudentError):
    """The file that was named is no notebook; nothing could be judged."""

    exit_status = 2


@dataclass(frozen=True, slots=True)
class Exercise:
    """What there is to judge: named after its first solution cell, as everywhere."""

    name: str
    solution_ids: tuple[str, ...]
    grade_id: str
    tests: str
    points: float


@dataclass(frozen=True, slots=True)
class Source:
    """An instructor's notebook. `locked` are the cells that a learner may not change, by nbgrader's id of them."""

    exercises: tuple[Exercise, ...]
    locked: Mapping[str, str]

    def chosen(self, names: Sequence[str]) -> tuple[Exercise, ...]:
        """The exercises of these names, or all, in the notebook's order.

        Raises: AuthorError that suggests the nearest.
        """
        known = [exercise.name for exercise in self.exercises]
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
                remedy = f"Did you mean {near[0]}?" if near else f"Write one of: {', '.join(known)}."
                raise AuthorError(f"There is no exercise {name!r} in this notebook. {remedy}")
        return tuple(exercise for exercise in self.exercises if not names or exercise.name in names)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell to run. `number` is its place in the learner's notebook, from 1; `label` says which it is.

    `exercise` is what it is a solution cell of, or, where `is_tests`, what its tests judge.
    """

    source: str
    number: int = 0
    label: str = ""
    exercise: Exercise | None = None
    is_tests: bool = False


def read_source(path: Path) -> Source:
    """The exercises and locked cells of an instructor's notebook.

    Raises: AuthorError
    """
    try:
        cells = code_cells(path.read_bytes())
    except FileNotFoundError:
        raise AuthorError(f"{path}: the course has no such notebook, so there are no tests to judge by.") from None
    except (Unreadable, OSError) as error:
        raise AuthorError(f"{path}: {error} Restore it from version control.") from error
    exercises: list[Exercise] = []
    locked: dict[str, str] = {}
    solutions: list[str] = []
    for cell in cells:
        mark = _mark(cell)
        grade_id = _grade_id(cell)
        if mark.get("grade") and not mark.get("solution"):
            points = points_in_check(cell.source, f"{path}: cell {cell.index + 1} ({grade_id})")
            name = solutions[0] if solutions else grade_id
            exercises.append(Exercise(name, tuple(solutions), grade_id, cell.source, points))
            solutions = []
        elif mark.get("solution") and not mark.get("grade"):
            solutions.append(grade_id)
        elif mark.get("locked") and not mark.get("solution"):
            locked[grade_id] = cell.source
    return Source(tuple(exercises), locked)


def read_learners(path: Path) -> list[CodeCell]:
    """The code cells of a learner's notebook, that may be anything.

    Raises: BrokenNotebook
    """
    try:
        content = path.read_bytes()
        json.loads(content.decode("utf-8"))
        return code_cells(content)
    except OSError as error:
        raise BrokenNotebook(f"{path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise BrokenNotebook(f"{path} is not UTF-8 text, so it is no notebook. Save it again in JupyterLab.") from error
    except json.JSONDecodeError as error:
        raise BrokenNotebook(
            f"{path} is no notebook: line {error.lineno} is not JSON ({error.msg}). Was it changed outside Jupyter? "
            "Undo that, or copy the notebook from release/ again."
        ) from error
    except RecursionError as error:
        raise BrokenNotebook(f"{path} is nested too deeply to be a notebook. Copy it from release/ again.") from error
    except Unreadable as error:
        raise BrokenNotebook(f"{path}: {error}") from error


def read_metadata(path: Path) -> Mapping[str, Any]:
    """The metadata of a learner's notebook that `read_learners` could read."""
    content = json.loads(path.read_bytes())
    metadata = content.get("metadata") if isinstance(content, dict) else None
    return metadata if isinstance(metadata, dict) else {}


def assemble(source: Source, learners: Sequence[CodeCell], asked: Sequence[Exercise]) -> tuple[Cell, ...]:
    """The learner's cells, in their order, with the source's tests of `asked` among them; up to the last of these.

    The learner's own grade cells are left out, changed or not. Tests stand where the learner's stood, and never before
    the solution; where nothing of an exercise is found, at the end. Locked cells have the source's text, as in grading.
    """
    by_grade_id = {exercise.grade_id: exercise for exercise in source.exercises}
    by_solution_id = {grade_id: exercise for exercise in source.exercises for grade_id in exercise.solution_ids}
    kept: list[Cell] = []
    tests_at: dict[str, int] = {}  # exercise -> how many cells stand before its tests
    defined_at: dict[str, int] = {}
    for cell in learners:
        grade_id = _grade_id(cell)
        tested = by_grade_id.get(grade_id)
        if tested is not None:
            tests_at[tested.name] = len(kept)
            continue
        exercise = by_solution_id.get(grade_id)
        if exercise is None and check_points(cell.source) is not None:
            continue  # a grade cell that lost its mark; in the kernel it would only repeat what is judged elsewhere
        text = source.locked.get(grade_id, cell.source)
        kept.append(Cell(text, cell.index + 1, grade_id or _first_line(text), exercise))
        if exercise is not None:
            tests_at[exercise.name] = len(kept)
        elif not grade_id:
            defined_at.update(dict.fromkeys(_defined_in(text), len(kept)))
    for exercise in source.exercises:
        tests_at.setdefault(exercise.name, defined_at.get(exercise.name, len(kept)))
    cells: list[Cell] = []
    done = 0
    for exercise in sorted(asked, key=lambda each: tests_at[each.name]):  # stable: else in the source's order
        cells += kept[done : tests_at[exercise.name]]
        done = tests_at[exercise.name]
        cells.append(Cell(exercise.tests, label=exercise.name, exercise=exercise, is_tests=True))
    return tuple(cells)


def as_notebook(cells: Sequence[Cell]) -> bytes:
    """The cells as a job's notebook: the cell at index i is `cells[i]`."""
    blank: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    content = {
        "nbformat": 4,
        "nbformat_minor": 4,
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "cells": [{**blank, "source": cell.source} for cell in cells],
    }
    return json.dumps(content).encode()


_DEFINITION = re.compile(r"^(?:async +def|def|class) +(\w+)|^(\w+) *=[^=]", re.MULTILINE)


def _defined_in(source: str) -> list[str]:
    return [function or variable for function, variable in _DEFINITION.findall(source)]


def _mark(cell: CodeCell) -> Mapping[str, Any]:
    mark = cell.metadata.get("nbgrader")
    return mark if isinstance(mark, dict) else {}


def _grade_id(cell: CodeCell) -> str:
    grade_id = _mark(cell).get("grade_id")
    return grade_id if isinstance(grade_id, str) else ""


def _first_line(source: str) -> str:
    line = source.strip().splitlines()[0].strip()
    return line if len(line) <= _LABEL_CHARS else line[: _LABEL_CHARS - 1] + "…"

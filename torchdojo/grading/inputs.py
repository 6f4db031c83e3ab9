"""What a grade depends on, as hashes: the submission, the assignment's tests, and the versions that judge."""

from __future__ import annotations

import functools
import hashlib
import json
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

_VERSIONS_OF = ("torchdojo", "torch", "nbgrader")


@dataclass(frozen=True, slots=True)
class Inputs:
    """Of one notebook of one submission. Two equal ones lead to the same grade."""

    submission: str
    tests: str
    judge: str

    def difference(self, earlier: Inputs | None) -> str:
        """What changed since an earlier grading, in words for a sentence; nothing when nothing did."""
        if earlier is None:
            return "new"
        names = [
            word
            for word, name in (("submission", "submission"), ("tests", "tests"), ("versions or limits", "judge"))
            if getattr(self, name) != getattr(earlier, name)
        ]
        return f"changed: {', '.join(names)}" if names else ""


def hash_of_submission(notebook: Path, files: Iterable[tuple[str, Path]]) -> str:
    """A notebook as handed in, with the files beside it (timestamp.txt too: it decides the late penalty)."""
    return _hash([notebook.name, _file_hash(notebook), *(f"{name}\0{_file_hash(path)}" for name, path in files)])


def hash_of_tests(notebook: Any, files: Iterable[tuple[str, Path]]) -> str:
    """A notebook row of the gradebook with all its cells, and the assignment's own files."""
    points = {cell.name: cell.max_score for cell in (*notebook.grade_cells, *notebook.task_cells)}
    solutions = {cell.name for cell in notebook.solution_cells}
    cells = [
        [cell.name, cell.cell_type, cell.locked, cell.source, points.get(cell.name), cell.name in solutions]
        for cell in sorted(notebook.source_cells, key=lambda cell: str(cell.name))
    ]
    return _hash([json.dumps([notebook.kernelspec, cells]), *(f"{name}\0{_file_hash(path)}" for name, path in files)])


def hash_of_judge(**settings: Any) -> str:
    """The versions that judge, and the settings that a grade may depend on: limits, device, threads, seed."""
    return _hash([*versions(), json.dumps(settings, sort_keys=True, default=str)])


@functools.cache
def versions() -> tuple[str, ...]:
    """Torchdojo, torch, nbgrader and Python, as "name version". Imports none of them."""
    return (*(f"{name} {metadata.version(name)}" for name in _VERSIONS_OF), f"Python {platform.python_version()}")


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(parts: Iterable[str]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part.encode("utf-8", "surrogatepass"))
        whole.update(b"\1")
    return whole.hexdigest()

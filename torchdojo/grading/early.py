"""What the command line says before nbgrader reads it: enough to import torch while nbgrader is being imported.

A guess: what it misses costs seconds, never a grade.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchdojo.kernels.preload import modules_in

if TYPE_CHECKING:
    from torchdojo.kernels.pool import Pool

_NO_RUN = ("--dry-run", "--no-execute", "--help", "--help-all", "-h", "--version", "--generate-config")


@dataclass(frozen=True, slots=True)
class Guess:
    """What will probably run: `workers` is 0 when nobody said."""

    preload: tuple[str, ...]
    jobs: int
    workers: int = 0


def guess(arguments: Sequence[str], here: Path) -> Guess | None:
    """What `torchdojo autograde` with these arguments, typed in the folder `here`, will probably run."""
    if any(argument in _NO_RUN for argument in arguments):
        return None
    root = here / (_value("--course-dir", arguments) or ".")
    named = [argument for argument in arguments if not argument.startswith("-")]
    for assignment in (*named, _value("--assignment", arguments) or ""):
        notebooks = own_notebooks(root / step / assignment for step in ("source", "release"))
        if assignment and notebooks:
            workers = _value("--workers", arguments) or "0"
            jobs = len(list(root.glob(f"submitted/*/{assignment}/*.ipynb")))
            return Guess(preload_of(notebooks), jobs, int(workers) if workers.isdigit() else 0) if jobs else None
    return None


def own_notebooks(places: Iterable[Path]) -> list[Path]:
    """The assignment's notebooks, from the first of these folders that has any."""
    return next((found for place in places if (found := sorted(place.glob("*.ipynb")))), [])


def preload_of(notebooks: Iterable[Path]) -> tuple[str, ...]:
    """The modules that an assignment's own notebooks import. A student's are not asked: they would run unwatched."""
    return tuple(modules_in(source for path in notebooks for source in _code_of(path)))


def open_pool(workers: int, preload: Sequence[str], jobs: int, memory_mib: int) -> Pool:
    """Warm kernels on this machine; `workers` 0 is as many as cores and memory allow."""
    from torchdojo.isolation.judge import MODULES, runner_of
    from torchdojo.kernels.pool import Pool, auto_workers

    return Pool(workers or min(auto_workers(memory_mib), max(jobs, 1)), (*preload, *MODULES), jobs, runner_of)


def _value(name: str, arguments: Sequence[str]) -> str:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument == name:
            return following
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return ""


def _code_of(path: Path) -> Iterator[str]:
    try:
        cells: list[Any] = json.loads(path.read_text(encoding="utf-8"))["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, OSError):  # a broken source is `torchdojo verify`'s to tell
        return
    yield from sources

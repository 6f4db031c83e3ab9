"""What commands that run trials share: a line of progress on stderr, and JSON for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torchdojo.authoring.trial import TrialResult


@contextmanager
def trials_shown(name: str) -> Iterator[Callable[[TrialResult, int, int], None]]:
    """How many trials of assignment `name` are done, and about how long the rest takes; gone at the end."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{name}: starting", total=None)

        def shown(result: TrialResult, done: int, total: int) -> None:
            label = f"{name}: {result.trial.exercise.name} · {result.trial.key}"
            progress.update(task, completed=done, total=total, description=label)

        yield shown


def write_json(value: Any, path: str | None) -> None:
    """Write `value` to the file at `path`; to stdout for '-'; nowhere for None."""
    if path == "-":
        click.echo(json.dumps(value, indent=2))
    elif path:
        Path(path).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

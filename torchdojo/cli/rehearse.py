"""`torchdojo rehearse`: a pretend class with known grades."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torchdojo.authoring.trial import TrialResult


@click.command(
    epilog="""\b
Examples:
  torchdojo rehearse 05-modules --students 12
  torchdojo rehearse 05-modules --students 30 --seed 7 --trouble
"""
)
@click.argument("assignment")
@click.option("--students", default=12, show_default=True, help="How many pretend students, at least 2.")
@click.option("--seed", default=0, show_default=True, help="The same seed writes the same class.")
@click.option("--trouble", is_flag=True, help="Add a crash, an endless loop, a killed kernel, a file that is not JSON.")
@click.option("--workers", type=int, default=None, help="Processes at once. Default: one a core.")
def command(assignment: str, students: int, seed: int, trouble: bool, workers: int | None) -> None:
    """Write submitted/ for a pretend class, so that you can rehearse grading before term.

    Built from the released notebook and the known right and wrong solutions. Each grade is known in advance and
    written to submitted/ASSIGNMENT.known.json.
    """
    from rich.console import Console
    from rich.progress import Progress

    from torchdojo.course import load
    from torchdojo.rehearsal.rehearse import rehearse

    course = load()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(f"{assignment}: finding what each wrong idea earns", total=None)

        def shown(result: TrialResult, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        grades = rehearse(
            course,
            assignment,
            students=students,
            seed=seed,
            trouble=trouble,
            workers=workers or os.cpu_count() or 1,
            on_result=shown,
        )
    click.echo(
        f"submitted/: {len(grades)} pretend students of {assignment}; grades in submitted/{assignment}.known.json"
    )

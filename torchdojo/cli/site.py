"""`torchdojo site`: the published course page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torchdojo.authoring.site.outcomes import Outcomes
    from torchdojo.course import Course


@click.command(
    epilog="""\b
Examples:
  torchdojo site                       site/index.html, in every language that there is
  torchdojo site --quick               run nothing: only which test is meant to catch what
  torchdojo site --lang zh --out /srv/www/course
"""
)
@click.option("--out", default="site", show_default=True, type=click.Path(path_type=Path), help="The folder to write.")
@click.option("--lang", "langs", multiple=True, help="A language; may be given several times. Default: all.")
@click.option("--quick", is_flag=True, help="Run no test: leave the table at what each test is meant to catch.")
@click.option("--workers", type=int, default=None, help="Processes at once. Default: one a core.")
def command(out: Path, langs: tuple[str, ...], quick: bool, workers: int | None) -> None:
    """Write the course page: syllabus, a card for each assignment, misconceptions, and which test catches which.

    Everything comes from course.yml and source/; solutions, hidden tests and wrong solutions are never shown. What a
    test says of a misconception is found out by running it, once: .torchdojo/site/ keeps it until the notebook changes.
    """
    from torchdojo.authoring.site import build_site, site_languages, untranslated
    from torchdojo.course import load

    course = load()
    chosen = list(dict.fromkeys(langs)) or site_languages(course)
    for name, lang in untranslated(course, chosen):
        click.echo(
            f"{name}: {lang}: not wholly translated; what is missing will be in {course.languages[0]}. "
            f"To see it: torchdojo translate {name} --lang {lang}",
            err=True,
        )
    outcomes = {} if quick else _outcomes(course, workers or os.cpu_count() or 1)
    click.echo(build_site(course, out, langs=chosen, outcomes=outcomes))


def _outcomes(course: Course, workers: int) -> dict[str, Outcomes]:
    """Of every assignment: kept, or found out now, with progress."""
    from torchdojo.authoring.site.outcomes import compute, estimate, kept
    from torchdojo.cli.progress import trials_shown

    found = {entry.name: kept(course, entry) for entry in course.assignments}
    due = [entry for entry in course.assignments if found[entry.name] is None]
    if due:
        guesses = [estimate(course, entry) for entry in due]
        count, minutes = sum(guess[0] for guess in guesses), sum(guess[1] for guess in guesses) / 60
        names = ", ".join(entry.name for entry in due)
        about = f"about {minutes:.0f} minutes" if minutes >= 1 else "less than a minute"
        click.echo(f"Running {count} wrong solutions of {names}: {about}. --quick leaves this out.", err=True)
    for entry in due:
        with trials_shown(entry.name) as shown:
            found[entry.name] = compute(course, entry, workers=workers, on_result=shown)
    return {name: outcomes for name, outcomes in found.items() if outcomes is not None}

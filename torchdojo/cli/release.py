"""`torchdojo release`: from source/ to release/."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  torchdojo release                 every assignment
  torchdojo release 05-modules      one
"""
)
@click.argument("assignment", required=False)
@click.option("--lang", default="en", show_default=True, help="A language of course.yml.")
def command(assignment: str | None, lang: str) -> None:
    """Write what students get: no solutions, no hidden tests, no misconceptions.

    nbgrader's generate_assignment, and a last look that nothing hidden is left. The same source gives the same bytes.
    """
    from torchdojo.authoring.release import release
    from torchdojo.course import load

    course = load()
    for entry in [course.assignment(assignment)] if assignment else course.assignments:
        folder = release(course, entry.name, lang=lang)
        click.echo(folder.relative_to(course.root))

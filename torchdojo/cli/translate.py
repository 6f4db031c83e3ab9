"""`torchdojo translate`: a notebook's catalogue of translations, up to date."""

from __future__ import annotations

import click


@click.command(
    epilog="""\b
Examples:
  torchdojo translate 05-modules              source/05-modules/zh.po
  torchdojo translate                         of every assignment that has one, or whose language the course has
  torchdojo translate 05-modules --lang fr    begin another language
"""
)
@click.argument("assignment", required=False)
@click.option("--lang", default="zh", show_default=True, help="The language to translate to, two letters.")
def command(assignment: str | None, lang: str) -> int:
    """Write what is to be translated into source/NAME/LANG.po, for a translator's tools (Poedit, a text editor).

    What was translated stays; what the notebook says otherwise now is marked fuzzy. Exit status 1 while anything is
    missing.
    """
    from torchdojo.authoring.languages import catalogue_path, update
    from torchdojo.course import load
    from torchdojo.errors import AuthorError

    course = load()
    if len(lang) != 2 or not lang.isascii() or not lang.islower() or lang == course.languages[0]:
        raise AuthorError(f"--lang {lang}: expected two small letters that are not {course.languages[0]}, such as zh.")
    left = 0
    for entry in [course.assignment(assignment)] if assignment else course.assignments:
        if not assignment and lang not in course.languages and not catalogue_path(course, entry, lang).is_file():
            continue
        path, gaps = update(course, entry.name, lang)
        left += len(gaps)
        for gap in gaps:
            click.echo(f"{entry.name}: {gap}")
        click.echo(f"{path.relative_to(course.root)}: {len(gaps)} to do", err=True)
    return 1 if left else 0

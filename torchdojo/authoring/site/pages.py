"""The generated pages, as Markdown with HTML: from cards and outcomes, by the templates beside this file."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchdojo.authoring.site.cards import Card, ExerciseCard, numbers_in
from torchdojo.checks.language import Language

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

    from torchdojo.authoring.site.outcomes import Outcomes


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the site: its part of the site's menu, its name there, where it lies, and its Markdown."""

    part: str
    title: str
    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Cell:
    """What one test says of one misconception: a sign, the words for it, and how it is drawn."""

    sign: str
    words: str
    kind: str
    meant: bool


def render(
    title: str, cards: Sequence[Card], outcomes: Mapping[str, Outcomes], language: Language, partly: Sequence[str] = ()
) -> list[Page]:
    """All generated pages of the site in one language, in the order of its menu.

    Args:
        title: the course's.
        cards: of its assignments.
        outcomes: by assignment; of those that are not there, the page says only which test is meant to catch what.
        language: what the page itself says.
        partly: names of assignments that are not wholly translated.
    """
    say = language.say
    jinja = environment()
    jinja.globals.update(
        say=say,
        language=language,
        course_title=title,
        cards=cards,
        partly=partly,
        ran=bool(outcomes),
        date=lambda when: _date(when, language),
        linked=lambda text, up: _linked(text, cards, up),
        cell=lambda row, test, meant: _cell(row, test, meant, language),
    )

    def page(part: str, name: str, path: str, template: str, **values: Any) -> Page:
        return Page(part, name, path, jinja.get_template(template).render(**values))

    pages = [page("", say("Syllabus"), "index.md", "syllabus.md.j2")]
    parts = (
        (say("Assignments"), "assignments", "assignments.md.j2", "assignment.md.j2"),
        (say("Misconceptions"), "misconceptions", "misconceptions.md.j2", "misconception.md.j2"),
        (say("Who catches what"), "tests", "tests.md.j2", "test.md.j2"),
    )
    for part, folder, contents, template in parts:
        pages.append(page(part, say("Overview"), f"{folder}/index.md", contents, heading=part))
        for card in cards:
            shown = {"card": card, "rows": outcomes[card.name].rows if card.name in outcomes else None}
            pages.append(page(part, f"{card.section} {card.title}", f"{folder}/{card.name}.md", template, **shown))
    return pages


def environment() -> Environment:
    """Jinja with our templates: what they fill in is escaped, unless it is HTML by `md` or `inline`."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    jinja = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters.update(md=_block, inline=_inline, anchor=anchor, number=lambda value: f"{value:g}")
    return jinja


def anchor(exercise: ExerciseCard) -> str:
    """The id of an exercise on each page that has it."""
    return "e" + exercise.number.replace(".", "-") if exercise.number else exercise.name


@functools.cache
def _commonmark() -> Any:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _block(text: str) -> Markup:
    """Markdown as JupyterLab reads it, as HTML. Python-Markdown, which renders the pages, would read it otherwise."""
    from markupsafe import Markup

    return Markup(_commonmark().render(text))


def _inline(text: str) -> Markup:
    """A title, a hint: plain text, but for `code`."""
    from markdown_it import MarkdownIt
    from markupsafe import Markup

    return Markup(MarkdownIt("zero").enable("backticks").renderInline(" ".join(text.split())))


def _date(when: datetime, language: Language) -> str:
    from babel.dates import format_date

    return f"{format_date(when, 'long', locale=language.code)} {when:%H:%M} ({when.tzinfo})"


def _linked(text: str, cards: Sequence[Card], up: str) -> Markup:
    """A text in which each number of an exercise leads to it. `up`: from the page to the folder of assignments."""
    from markupsafe import Markup, escape

    places = {e.number: f"{up}{card.name}.html#{anchor(e)}" for card in cards for e in card.exercises if e.number}
    shown = escape(text)
    for number in dict.fromkeys(numbers_in(text)):
        if number in places:
            shown = shown.replace(number, Markup('<a href="{}">{}</a>').format(places[number], number))
    return shown


def _cell(row: Mapping[str, str], test: str, meant: bool, language: Language) -> Cell:
    word = row.get(test, "")
    verdict, _, exception = word.partition(" ") if word.startswith("raised") else (word, "", "")
    say = language.say
    known = {
        "passed": Cell("·", say("passed"), "passed", meant),
        "wrong": Cell("✗", say("wrong"), "wrong", meant),
        "raised": Cell("↯", say("raised {exception}", exception=exception), "raised", meant),
        "skipped": Cell("–", say("skipped"), "skipped", meant),
        "not attempted": Cell("○", say("not attempted"), "wrong", meant),
    }
    return known.get(verdict, Cell("?", say("not known"), "skipped", meant))

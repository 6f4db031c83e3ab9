"""The published course page: syllabus, cards, misconceptions, who catches what; all from course.yml and source/."""

from __future__ import annotations

import html
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torchdojo
from torchdojo.authoring.languages import catalogue_path, gaps, translations_of
from torchdojo.authoring.leaks import hidden_lines
from torchdojo.authoring.site import words
from torchdojo.authoring.site.building import build_html
from torchdojo.authoring.site.cards import read_card
from torchdojo.authoring.site.documents import documents, elsewhere
from torchdojo.authoring.site.pages import Page, render
from torchdojo.course import Course
from torchdojo.errors import AuthorError
from torchdojo.notebook import read_node

if TYPE_CHECKING:
    from torchdojo.authoring.site.outcomes import Outcomes

_OURS = "torchdojo-site.json"  # in a folder that we may overwrite


def site_languages(course: Course) -> list[str]:
    """The languages a course's page can be in: the course's own, and those in which an assignment is translated."""
    begun = [
        lang
        for lang in words.languages()
        if any(catalogue_path(course, entry, lang).is_file() for entry in course.assignments)
    ]
    known = ["en", *words.languages()]
    return [lang for lang in dict.fromkeys([*course.languages, *begun]) if lang in known]


def untranslated(course: Course, langs: Sequence[str]) -> list[tuple[str, str]]:
    """(assignment, language) of which the page has to show texts in the language that they were written in.

    Raises: AuthorError
    """
    _refuse_languages(course, langs)
    return [
        (entry.name, lang)
        for lang in langs
        if lang != course.languages[0]
        for entry in course.assignments
        if gaps(course, entry.name, lang)
    ]


def build_site(course: Course, target: Path, *, langs: Sequence[str], outcomes: Mapping[str, Outcomes]) -> Path:
    """Write the course page into the folder `target`: the first language at its root, each other one in a folder.

    When anything is wrong, what was there before stays as it was.

    Args:
        course: the course.
        target: a folder that is not there, is empty, or holds a site that was written before.
        langs: of `site_languages`.
        outcomes: what each test says of each misconception, by assignment; where it is left out, the page says only
            which test is meant to catch what.

    Returns:
        The page to begin with.

    Raises:
        AuthorError: a language that there is not, a faulty notebook, a broken link, a page that would tell what is
            hidden, or a folder that is somebody else's.
    """
    _refuse_foreign(target)
    partly = untranslated(course, langs)
    docs = documents(course.root, words.words(langs[0]))
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".site-") as scratch:
        new = Path(scratch) / "new"
        for lang in langs:
            language = words.words(lang)
            cards = [read_card(course, each, _known(course, each.name, lang)) for each in course.assignments]
            incomplete = [name for name, code in partly if code == lang]
            pages = render(course.title, cards, outcomes, language, incomplete)
            pages += docs if lang == langs[0] else elsewhere(docs, language, "../", course.languages[0])
            refuse_hidden(course, pages)
            build_html(
                pages,
                Path(scratch) / f"pages-{lang}",
                new if lang == langs[0] else new / lang,
                title=course.title,
                language=language,
                others=[(each, _own_name(each), _way(lang, each, langs[0])) for each in langs],
            )
        stamp = {"torchdojo": torchdojo.__version__, "languages": list(langs)}
        (new / _OURS).write_text(json.dumps(stamp) + "\n", encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        new.replace(target)
    return target / "index.html"


def refuse_hidden(course: Course, pages: Sequence[Page]) -> None:
    """The last look, as `release` has one.

    Raises: AuthorError when a line of a solution, a hidden test, a variant or a hint stands in a page.
    """
    texts = {page.path: plain(page.text) for page in pages}
    everything = "\n".join(texts.values())
    for assignment in course.assignments:
        path = course.source_notebook(assignment)
        for line in sorted(hidden_lines(read_node(path))):
            if (bare := plain(line)) in everything:
                places = ", ".join(page for page, text in texts.items() if bare in text)
                raise AuthorError(
                    f"{path}: the course page was not written: {places} would show {line!r}, which is hidden. "
                    "Write the text otherwise that says it."
                )


def plain(text: str) -> str:
    """A page's text without markup, spaces or quotation marks that only its form asks for."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"</?[a-zA-Z][^<>]*>", "", text)))


def _known(course: Course, name: str, lang: str) -> dict[str, str]:
    return {} if lang == course.languages[0] else translations_of(course, name, lang)


def _own_name(lang: str) -> str:
    from babel import Locale

    return Locale(lang).get_display_name(lang) or lang


def _way(here: str, there: str, first: str) -> str:
    """From the root of the site in one language to that in another."""
    return ("./" if here == first else "../") + ("" if there == first else f"{there}/")


def _refuse_languages(course: Course, langs: Sequence[str]) -> None:
    for lang in langs:
        if lang not in site_languages(course):
            raise AuthorError(f"--lang {lang}: the page has no such language. Write {_or(site_languages(course))}.")


def _or(names: Sequence[str]) -> str:
    return " or ".join(names)


def _refuse_foreign(target: Path) -> None:
    if target.exists() and not (target / _OURS).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise AuthorError(f"{target}: holds something else than a course page. Name an empty folder with --out.")


__all__ = ["build_site", "plain", "refuse_hidden", "site_languages", "untranslated"]

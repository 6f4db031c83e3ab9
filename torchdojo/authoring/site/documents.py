"""The hand-written docs of a course, docs/*.md: pages in the language they are written in, links in others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torchdojo.authoring.site.pages import Page, environment
from torchdojo.checks.language import Language

_LINK_OUT = re.compile(r"\[([^\]\n]*)\]\(\.\./[^)\s]*\)")  # from docs/ to what is no page
_FOLDER = "docs"


def documents(root: Path, language: Language) -> list[Page]:
    """The docs of the course in `root`, in a part of the menu. Links to files that are no pages are plain text."""
    pages = []
    for path in sorted((root / _FOLDER).glob("*.md")):
        text = _LINK_OUT.sub(r"\1", path.read_text(encoding="utf-8"))
        first = text.partition("\n")[0].removeprefix("# ").strip()
        pages.append(Page(language.say("Documents"), first or path.stem, f"{_FOLDER}/{path.name}", text))
    return pages


def elsewhere(pages: Sequence[Page], language: Language, way: str, written_in: str) -> list[Page]:
    """One page that leads to `pages`, which are at `way` from this language's root, in the language `written_in`."""
    if not pages:
        return []
    links = [(page.title, f"../{way}{page.path.removesuffix('.md')}.html") for page in pages]
    template = environment().get_template("documents.md.j2")
    text = template.render(say=language.say, links=links, written_in=written_in)
    return [Page("", language.say("Documents"), f"{_FOLDER}/index.md", text)]

"""From pages to a static site, by MkDocs with the Material theme; nothing of it asks the network for anything."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from torchdojo.authoring.site.pages import Page
from torchdojo.checks.language import Language
from torchdojo.errors import AuthorError, OursError

_THEME = Path(__file__).parent / "theme"


def build_html(
    pages: Sequence[Page],
    scratch: Path,
    target: Path,
    *,
    title: str,
    language: Language,
    others: Sequence[tuple[str, str, str]],
) -> None:
    """Write `target`, the site of these pages in one language.

    Args:
        pages: in the order of the menu.
        scratch: an empty folder, for what MkDocs reads.
        target: a folder that is not there yet.
        title: the course's.
        language: of the site.
        others: (code, name, path from here) of each language of the site, this one too.

    Raises:
        AuthorError: a page links to what is not there.
        OursError: MkDocs is not installed.
    """
    for page in pages:
        file = scratch / "pages" / page.path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(page.text, encoding="utf-8")
    config = scratch / "mkdocs.yml"  # JSON is YAML
    config.write_text(json.dumps(_config(pages, target, title, language, others), indent=1), encoding="utf-8")
    _run_mkdocs(config)


def _config(
    pages: Sequence[Page], target: Path, title: str, language: Language, others: Sequence[tuple[str, str, str]]
) -> dict[str, Any]:
    say = language.say
    themes = (("default", "weather-sunny", say("Dark")), ("slate", "weather-night", say("Light")))
    return {
        "site_name": escape(title),
        "docs_dir": "pages",
        "site_dir": str(target.absolute()),  # MkDocs would read it from the configuration's folder
        "use_directory_urls": False,  # so that the pages can be read from a folder, without a server
        "strict": True,
        "theme": {
            "name": "material",
            "custom_dir": str(_THEME),
            "language": language.code,
            "font": False,  # the reader's own: Material's come from Google
            "features": ["navigation.tabs", "navigation.indexes", "navigation.top", "toc.follow"],
            "icon": {"logo": "material/school"},
            "palette": [
                {
                    "media": f"(prefers-color-scheme: {'light' if scheme == 'default' else 'dark'})",
                    "scheme": scheme,
                    "primary": "indigo",
                    "toggle": {"icon": f"material/{icon}", "name": name},
                }
                for scheme, icon, name in themes
            ],
        },
        "extra_css": ["assets/site.css"],
        "extra": {
            "generator": False,
            "alternate": [{"lang": code, "name": name, "link": link} for code, name, link in others],
        },
        "plugins": [{"search": {"lang": language.code, "separator": _SEPARATOR}}],
        "markdown_extensions": ["admonition", "attr_list", "sane_lists", "pymdownx.superfences", {"toc": _TOC}],
        "nav": list(_menu(pages)),
        "validation": {"omitted_files": "warn", "absolute_links": "warn", "anchors": "warn"},
    }


def _menu(pages: Sequence[Page]) -> Iterator[dict[str, Any]]:
    """The parts of the site, each with its pages; a page without a part stands by itself."""
    for part in dict.fromkeys(page.part or page.path for page in pages):
        group = [page for page in pages if part in (page.part, page.path)]
        entries = [{escape(page.title): page.path} for page in group]
        yield {escape(part): entries} if group[0].part else entries[0]


_TOC = {"permalink": True, "toc_depth": "2-3"}
# Names of a program are found by their parts. Each Chinese character is a word of its own: MkDocs cuts Chinese into
# words only by jieba, which is not kept up.
_SEPARATOR = (
    r"""[\s\u200b\u3000\-_,:;!?=\[\]()"'`/、。，．？！；：（）]+|\.(?!\d)"""
    r"""|(?<=[\u4e00-\u9fff])|(?=[\u4e00-\u9fff])"""
)


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def _run_mkdocs(config: Path) -> None:
    try:
        from mkdocs.commands.build import build
        from mkdocs.config import load_config
        from mkdocs.exceptions import MkDocsException
    except ImportError as error:
        raise OursError("The course page needs MkDocs. Type: pip install 'torchdojo[site]'") from error
    log, kept = logging.getLogger("mkdocs"), _Kept()
    log.addHandler(kept)
    propagates, log.propagate = log.propagate, False
    try:
        build(load_config(str(config)))
    except (MkDocsException, SystemExit) as error:
        told = kept.messages or [str(error)]
        raise AuthorError("The course page was not written:\n" + "\n".join(f"  {each}" for each in told)) from error
    finally:
        log.removeHandler(kept)
        log.propagate = propagates

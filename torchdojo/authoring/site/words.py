"""What the course page itself says, translated: `torchdojo/locale/site.zh.po`.

`python -m torchdojo.authoring.words zh` brings it up to date with the templates; a test fails while it is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from torchdojo.authoring import catalogue as catalogues
from torchdojo.authoring.catalogue import Gap
from torchdojo.authoring.messages import Text
from torchdojo.authoring.site.pages import environment
from torchdojo.checks.language import Language

_HERE = Path(__file__).parent
_LOCALE = _HERE.parent.parent / "locale"


def languages() -> list[str]:
    """The languages that the page itself has, besides English."""
    return sorted(path.name.split(".")[1] for path in _LOCALE.glob("site.*.po"))


def words(lang: str) -> Language:
    """What the page says in a language, as templates to `say`."""
    return Language(lang, catalogues.translations(catalogues.read(catalogue_path(lang)), said()))


def said() -> list[Text]:
    """Every template that a page of the site may say."""
    found: dict[str, Text] = {}
    for place, template in _templates():
        found.setdefault(template, Text(template, place, "message", template=True))
    return list(found.values())


def gaps(lang: str) -> list[Gap]:
    """What the page cannot say in a language."""
    command = f"python -m torchdojo.authoring.words {lang}"
    return catalogues.gaps(catalogues.read(catalogue_path(lang)), said(), lang, command)


def catalogue_path(lang: str) -> Path:
    """Where what the page says in a language lies."""
    return _LOCALE / f"site.{lang}.po"


def as_po(lang: str) -> str:
    """The catalogue as it should be: every template that there is, with the translation that it has."""
    catalogue = catalogues.updated(catalogues.read(catalogue_path(lang)), said())
    return catalogues.as_po(catalogue, "the course page", "en", lang)


def _templates() -> Iterator[tuple[str, str]]:
    """Where, and what: the first argument of every `say`, in the templates and in the Python files here."""
    from jinja2 import nodes

    jinja = environment()
    for name in sorted(jinja.list_templates(extensions=["j2"])):
        source, _, _ = jinja.loader.get_source(jinja, name)  # type: ignore[union-attr]  # environment() sets it
        for call in jinja.parse(source).find_all(nodes.Call):
            if getattr(call.node, "name", "") == "say" and isinstance(call.args[0], nodes.Const):
                yield f"site/templates/{name}", str(call.args[0].value)
    for path in sorted(_HERE.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "say":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    yield f"site/{path.name}", str(first.value)

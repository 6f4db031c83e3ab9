"""The translations of an assignment: `source/NAME/zh.po`, a gettext catalogue beside the notebook, and its faults."""

from __future__ import annotations

import functools
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import PoFileError, read_po, write_po
from markdown_it import MarkdownIt

from torchdojo.authoring.messages import Text, as_template
from torchdojo.checks.language import fits
from torchdojo.errors import AuthorError

_HEADER = """\
# {name}, from {source} to {lang}. `torchdojo translate` writes it anew from the notebook and keeps what is translated.
# Translate what an entry says, keep its `code`, formulas, numbers and names; docs/glossary.md has the terms.
msgid ""
msgstr ""
"Language: {lang}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
_WIDTH = 110
_CODE = re.compile(r"`+[^`]*`+")
_FORMULA = re.compile(r"\$[^$]+\$")
_URL = re.compile(r"https?://[^\s)>]+")
_WORD = re.compile(r"[A-Za-z_][\w.]*\w|[A-Za-z]", re.ASCII)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)*(?!\w)", re.ASCII)
_ENGLISH = {"A", "I", "e.g", "i.e"}


@dataclass(frozen=True, slots=True)
class Gap:
    """A text that a language lacks, or has in a way that cannot be right."""

    cell: str
    lang: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.lang}: {self.sentence}"


def read(path: Path) -> Catalog:
    """The catalogue at `path`; an empty one where there is none.

    Raises: AuthorError with the line that cannot be read.
    """
    if not path.is_file():
        return Catalog()
    try:
        with path.open("rb") as file:
            return read_po(file, abort_invalid=True)
    except (PoFileError, UnicodeDecodeError, ValueError) as error:
        line = f":{error.lineno + 1}" if isinstance(error, PoFileError) else ""
        raise AuthorError(
            f"{path}{line}: is no gettext catalogue. A merge conflict? Mend that line, or restore the file from "
            "version control."
        ) from error


def updated(old: Catalog, texts: Iterable[Text]) -> Catalog:
    """A catalogue of these texts with the translations of `old`: those of a changed text are fuzzy, others stay."""
    new = Catalog()
    for text, places in _by_text(texts).items():
        hidden = all(each.hidden for each in places)
        roles = list(dict.fromkeys(each.role for each in places))
        new.add(
            text,
            locations=[(cell, None) for cell in dict.fromkeys(each.cell for each in places)],  # type: ignore[misc]
            auto_comments=[("hidden: " if hidden else "") + ", ".join(roles)],
        )
    for message in list(old.obsolete.values()):  # a text that came back
        if message.id in new and message.id not in old:
            old[message.id] = message
    old.update(new)
    return old


def as_po(catalogue: Catalog, name: str, source: str, lang: str) -> str:
    """The catalogue as gettext's text, the same every time."""
    for message in catalogue:  # what a placeholder is, torchdojo knows from the notebook, not from the look of a text
        message.flags -= {"python-format", "python-brace-format"}
    content = io.BytesIO()
    write_po(content, catalogue, width=_WIDTH, omit_header=True, include_previous=True)
    return _HEADER.format(name=name, source=source, lang=lang) + content.getvalue().decode().lstrip("\n")


def translations(catalogue: Catalog, texts: Iterable[Text]) -> dict[str, str]:
    """What is translated, and not fuzzy, of these texts."""
    found = {}
    for text in {each.text for each in texts}:
        message = catalogue.get(text)
        if message is not None and _string(message) and not message.fuzzy:
            found[text] = _string(message)
    return found


def spoken(catalogue: Catalog, texts: Sequence[Text]) -> dict[str, str]:
    """Titles and messages of tests among these texts, as templates and translated, for `checks.language`."""
    said = [each for each in texts if each.role.startswith(("title of", "message of"))]
    known = translations(catalogue, said)
    pairs = {
        each.key: known[each.text] if each.template else as_template(known[each.text])
        for each in said
        if each.text in known
    }
    return {source: text for source, text in sorted(pairs.items()) if fits(source, text)}


def gaps(catalogue: Catalog, texts: Iterable[Text], lang: str, command: str) -> list[Gap]:
    """What is missing, fuzzy or not the same in the catalogue. `command` brings it up to date."""
    found = []
    for text, places in _by_text(texts).items():
        message = catalogue.get(text)
        sentence = _fault(text, message, places, command)
        if sentence:
            found.append(Gap(places[0].cell, lang, f"{_short(text)} ({places[0].role}) {sentence}"))
    return found


def _fault(text: str, message: Message | None, places: Sequence[Text], command: str) -> str:
    if message is None:
        return f"is not in the catalogue. Type: {command}"
    if not _string(message):
        return "is not translated."
    if message.fuzzy:
        return "has changed since it was translated (fuzzy). Translate it anew, and take the flag away."
    if any(each.template for each in places) and not fits(text, _string(message)):
        return "has other placeholders in {}. Write the same ones."
    for what, original, translated in _differences(text, _string(message)):
        lost, gained = sorted(original - translated), sorted(translated - original)
        said = [f"lacks {', '.join(lost)}"] * bool(lost) + [f"has {', '.join(gained)} besides"] * bool(gained)
        return f"must keep its {what}: the translation {' and '.join(said)}."
    if any(each.role == "text" for each in places) and _markup(text) != _markup(_string(message)):
        return "must keep its markup. A * next to Chinese punctuation does not count: put the punctuation outside."
    return ""


def _markup(text: str) -> Counter[str]:
    """How often there is what: emphasis, code, links, rows of a table. Browsers read it by the same rules."""
    tokens = _markdown().parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    return Counter(token.type for token in (*tokens, *inline) if token.type not in ("text", "softbreak", "inline"))


@functools.cache
def _markdown() -> MarkdownIt:
    return MarkdownIt("commonmark").enable("table")


def _differences(text: str, translated: str) -> Iterable[tuple[str, set[str], set[str]]]:
    ours, theirs = _kept(text), _kept(translated)
    return [(what, ours[what], theirs[what]) for what in ours if ours[what] != theirs[what]]


def _kept(text: str) -> Mapping[str, set[str]]:
    """What a translation keeps as it is, by kind."""
    kept = {}
    if text.startswith(("```", "~~~")):  # a drawing: its words are translated
        text = text.strip("`~")
    for what, pattern in (("addresses", _URL), ("code", _CODE), ("formulas", _FORMULA)):
        kept[what] = set(pattern.findall(text))
        text = pattern.sub(" ", text)
    names = {word for word in _WORD.findall(text) if _is_name(word)} - _ENGLISH
    kept["names"] = {name.removesuffix("s") for name in names}  # ValueErrors: Chinese has no plural
    kept["numbers"] = set(_NUMBER.findall(text))
    return kept


def _is_name(word: str) -> bool:
    """Whether a word is one of a program, or a symbol, and not of a language."""
    return (
        "_" in word
        or bool(re.search(r"\w\.\w|[a-z][A-Z]|[A-Za-z]\d", word))
        or (word.isupper() and not word.startswith("_"))
    )


def _by_text(texts: Iterable[Text]) -> dict[str, list[Text]]:
    found: dict[str, list[Text]] = {}
    for each in texts:
        found.setdefault(each.text, []).append(each)
    return found


def _string(message: Message) -> str:
    return message.string if isinstance(message.string, str) else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 60 else line[:59] + "…")

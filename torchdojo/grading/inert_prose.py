"""Markdown cells of a submission, made inert. What would bring more than text, pictures and links is shown as typed.

A page (nbgrader's feedback, formgrader) renders Markdown with all HTML in it. What was written is kept to the letter,
only fenced, so that a grader reads it, and the rules may be strict: an honest text that they hit stays readable.
"""

from __future__ import annotations

import functools
import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from nbgrader.utils import compute_checksum

from torchdojo.grading.inert import image
from torchdojo.grading.repair import ExpectedCell
from torchdojo.isolation.plain import plain

_TAG = re.compile(r"<[A-Za-z/!?]")
_CODE = re.compile(r"(?<!`)`(?!`)[^`\n]*`(?!`)")
_MAY_HOLD_A_BACKTICK = (
    "$",
    "\\",
    "](",
    "]:",
    "][",
    "|",
    "://",
)  # then it begins no code, and what follows may be a tag
_HARMLESS_TAG = re.compile(
    r"</?(?:b|br|center|code|dd|del|details|dl|dt|em|hr|i|kbd|li|mark|ol|p|pre|s|small|strong|sub|summary|sup|table"
    r"|tbody|td|th|thead|tr|u|ul)\s*/?>|<https?://[^\s<>\"'\\]*>",
    re.IGNORECASE,
)
_DATA = re.compile(r"data:[^,\s]{0,100},", re.IGNORECASE)
_UNSEEN = re.compile(r"[\x00-\x20\\]+")
_PICTURE = re.compile(
    r"!\[[^\[\]\n]*\]\((?:attachment:(?P<name>[\w.-]+)|data:(?P<mime>image/\w+);base64,(?P<data>[A-Za-z0-9+/=]*)"
    r"|\w[\w./-]*)(?:\s+\"[^\"\n]*\")?\)"
)
_ACTS = re.compile(
    r"[`~]\s*mermaid"
    # of MathJax: links, loads, and whatever else is not a formula
    r"|\\(?:href|url|require|style|class|cssId|mmlToken|unicode|bbox|includegraphics|html[A-Z]?\w*)\b"
)


def make_prose_inert(node: Any, expected: Mapping[str, ExpectedCell], released: frozenset[str] = frozenset()) -> None:
    """Make the Markdown cells of a notebook inert, in place, but for those that are the instructor's own words.

    Args:
        node: the notebook.
        expected: the assignment's cells.
        released: texts of the assignment's other Markdown cells, from `released_prose`.
    """
    for cell in node.cells:
        if cell.cell_type != "markdown" or _as_released(cell, expected):
            continue
        if cell.source in released and not cell.get("attachments"):
            continue
        if "attachments" in cell:
            cell["attachments"] = _pictures(cell["attachments"])
        if not _is_harmless(cell.source, cell.get("attachments", {})):
            cell.source = _as_typed(cell.source)


def released_prose(folder: Path) -> frozenset[str]:
    """The texts of the Markdown cells of the notebooks in `folder`."""
    paths = sorted(folder.glob("*.ipynb"))
    return frozenset().union(*(_prose_of(path, path.stat().st_mtime_ns) for path in paths))


@functools.lru_cache(maxsize=64)
def _prose_of(path: Path, changed: int) -> frozenset[str]:
    return frozenset(_prose_in(path))


def _prose_in(path: Path) -> Iterator[str]:
    with suppress(ValueError, KeyError, TypeError, OSError):  # then every text is looked at
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                yield "".join(cell["source"])


def _as_released(cell: Any, expected: Mapping[str, ExpectedCell]) -> bool:
    want = expected.get((cell.metadata.get("nbgrader") or {}).get("grade_id", ""))
    return want is not None and want.checksum is not None and compute_checksum(cell) == want.checksum


def _pictures(attachments: Any) -> dict[str, dict[str, str]]:
    found = {
        name: {mime: data for mime, text in by_type.items() if (data := image(text, mime))}
        for name, by_type in attachments.items()
        if isinstance(by_type, dict)
    }
    return {name: by_type for name, by_type in found.items() if by_type}


def _is_harmless(source: str, attachments: Mapping[str, Any]) -> bool:
    if source != plain(source) or _ACTS.search(source):
        return False
    outside = source if any(begin in source for begin in _MAY_HOLD_A_BACKTICK) else _CODE.sub(" ", source)
    if _TAG.search(_HARMLESS_TAG.sub(" ", outside)):
        return False
    pictures = list(_PICTURE.finditer(source))
    if len(pictures) != source.count("!["):
        return False
    for picture in pictures:
        if picture["name"] and picture["name"] not in attachments:  # nbconvert would refuse the whole notebook
            return False
        if picture["mime"] and not image(picture["data"], picture["mime"]):
            return False
    rest = _decoded(_PICTURE.sub(" ", source))
    return "script:" not in _UNSEEN.sub("", rest).lower() and not _DATA.search(rest)


def _decoded(text: str) -> str:
    """With every character in the place of its entity, also where that is spelled by entities, as renderers have it."""
    for _ in range(5):
        before, text = text, html.unescape(text)
        if text == before:
            return text
    return "script:"  # nobody honest writes so


def _as_typed(source: str) -> str:
    """`source` in a fence that is longer than any in it."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`+", source))])
    return f"{fence}\n{plain(source)}\n{fence}"

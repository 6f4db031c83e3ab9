"""Text that a student's code wrote, so that it does nothing where it is shown: no terminal obeys it, colours stay."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass, replace
from itertools import chain, zip_longest
from typing import Any

_COLOUR = re.compile(r"\x1b\[[0-9;]{0,40}m")  # "select graphic rendition": the one sequence that only colours
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_BIDIRECTIONAL = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C], "")
_LINE_ENDS = dict.fromkeys(map(ord, "\n\r\t\u2028\u2029"), " ")

# nbconvert turns each colour into HTML by copying all that comes after it
_COLOURS_BY_LENGTH = 5_000_000_000


def _harmless(code: int, spaces: str) -> str:
    """Stands for a control character."""
    if chr(code) in spaces:
        return " "
    return chr(0x2400 + code) if code < 0x20 else "\u2421" if code == 0x7F else "\ufffd"


def _table(spaces: str) -> dict[int, str]:
    return {code: _harmless(code, spaces) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\n\t\r"}


# A printed number stays one, and what is none stays none: it is what nbgrader's scorer reads, and `float` strips other
# characters from a text of ASCII than from any other.
_IN_ASCII = _table("\x0b\x0c")
_HARMLESS = _table("\x0b\x0c\x1c\x1d\x1e\x1f\x85")


def plain(text: str) -> str:
    """`text` with a visible mark for each control character but newline, tab, return and the codes of colours.

    Nothing is left out, so that no other text comes of it.
    """
    if not _CONTROL.search(text):
        return text
    harmless = _IN_ASCII if text.isascii() else _HARMLESS
    colours = _COLOUR.findall(text)
    if len(colours) * len(text) > _COLOURS_BY_LENGTH:
        return text.translate(harmless)
    parts = (part.translate(harmless) for part in _COLOUR.split(text))
    return "".join(chain.from_iterable(zip_longest(parts, colours, fillvalue="")))


def plain_line(text: str) -> str:
    """`text` on one line, without colours, and without what turns the direction of the text around it."""
    return _COLOUR.sub("", text).translate(_HARMLESS | _LINE_ENDS | _BIDIRECTIONAL)


def plain_record(record: Any) -> Any:
    """A frozen dataclass with `plain_line` of each text in it, in tuples and records within it too."""
    if type(record) is str:  # an enumeration's member stays one
        return plain_line(record)
    if type(record) is tuple:
        return tuple(map(plain_record, record))
    if is_dataclass(record) and not isinstance(record, type):
        return replace(record, **{each.name: plain_record(getattr(record, each.name)) for each in fields(record)})
    return record

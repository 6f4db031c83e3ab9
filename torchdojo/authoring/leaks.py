"""The last look at a release: is anything hidden left in it? Plain functions on text; knows no nbgrader."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torchdojo.authoring.messages import texts
from torchdojo.grade_cell import HIDDEN_BEGIN, HIDDEN_END
from torchdojo.notebook import AUTHOR_LINE, SOLUTION_BEGIN, SOLUTION_END, is_author_cell

_MARKER = re.compile(
    r"(BEGIN|END)\s+(HIDDEN\s+TESTS?|SOLUTION|MARK\s+SCHEME)|^%%(misconception|solution|equivalent|hints)\b|^caught-by:",
    re.M | re.I,
)
_TRIVIAL = re.compile(
    r"(import |from |def |class |return( \w+)?$|@|#|pass$|else:|try:|finally:|raise NotImplementedError|super\(\)"
    r"|\"\"\"|'''|[\W_]+$)"
)
_WINDOW = 3  # so many telling lines in a row are no coincidence
_LONG = 24  # a line of so many characters that stands nowhere in the visible source is none either


@dataclass(frozen=True, slots=True)
class Leak:
    """A line that students must not get, and the released cell it is in (its id)."""

    cell_id: str
    line: str
    origin: str


def leaks(source: Any, released: Any) -> list[Leak]:
    """Hidden lines of the notebook `source` that are left in `released` (both as nbformat has them).

    Hidden are the solution and hidden-test regions and the author's cells. A hidden line counts as left when the
    released notebook has it and the visible source has not, or has it in a row of three hidden lines (or a whole
    region) outside the cell the region belongs to; markers of regions count always.
    """
    blocks = list(_hidden_blocks(source))
    visible = {line for text in _visible_texts(source) for line in _lines(text)}
    found: list[Leak] = []
    for cell in released.cells:
        text = "\n".join(_texts(cell))
        lines = _lines(text)
        marker = _MARKER.search(text)
        if marker:
            found.append(Leak(cell.get("id", "?"), marker[0], "a marker of a hidden region"))
        present = set(lines)
        for origin, block in blocks:
            alone = next((x for x in block if x in present and x not in visible and len(x) >= _LONG), None)
            together = next(_runs_in(lines, block), None) if cell.get("id") != origin else None
            if alone or together:
                found.append(Leak(cell.get("id", "?"), alone or together or "", f"cell {origin!r}"))
    return found


def hidden_lines(source: Any) -> frozenset[str]:
    """Lines that no text for learners may have, wherever it comes from: long enough to stand there by no accident.

    Of solutions, hidden tests, variants and hints. What a hidden test says when it fails is none of them, nor what the
    author asks a learner who has a misconception, even where it quotes code.
    """
    visible = {line for text in _visible_texts(source) for line in _lines(text)}
    lines = {line for _, block in _hidden_blocks(source) for line in block if len(line) >= _LONG}
    spoken = "\n".join(
        each.text for each in texts(source) if each.role.startswith(("title of", "misconception", "hint of"))
    )
    return frozenset(line for line in lines - visible - {AUTHOR_LINE} if line not in spoken)


def _hidden_blocks(node: Any) -> Iterator[tuple[str, list[str]]]:
    """(id of the cell it belongs to, telling lines) of every hidden region. A variant's are its solution cell's."""
    owner = "?"
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if meta.get("solution") and not meta.get("grade"):
            owner = cell.id
        if cell.cell_type == "code" and is_author_cell(cell.source):
            yield owner, _telling(cell.source.partition("\n---\n")[2] or cell.source)
            continue
        for begin, end in ((SOLUTION_BEGIN, SOLUTION_END), (HIDDEN_BEGIN, HIDDEN_END)):
            for region in re.findall(re.escape(begin) + r"[^\n]*\n(.*?)" + re.escape(end), cell.source, re.S):
                yield cell.id, _telling(region)


def _visible_texts(node: Any) -> Iterator[str]:
    for cell in node.cells:
        if cell.cell_type == "code" and is_author_cell(cell.source):
            continue
        text = cell.source
        for begin, end in ((SOLUTION_BEGIN, SOLUTION_END), (HIDDEN_BEGIN, HIDDEN_END)):
            text = re.sub(re.escape(begin) + r"[^\n]*\n.*?" + re.escape(end), "", text, flags=re.S)
        yield text


def _texts(value: Any) -> Iterator[str]:
    """Every string of a cell: source, outputs, attachments, metadata."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _runs_in(lines: list[str], block: list[str]) -> Iterator[str]:
    size = min(_WINDOW, len(block))
    if not size or sum(map(len, block)) < _LONG:
        return
    telling = [line for line in lines if not _TRIVIAL.match(line)]
    windows = {tuple(telling[i : i + size]) for i in range(len(telling) - size + 1)}
    for i in range(len(block) - size + 1):
        if tuple(block[i : i + size]) in windows:
            yield block[i]


def _telling(text: str) -> list[str]:
    return [line for line in _lines(text) if not _TRIVIAL.match(line)]


def _lines(text: str) -> list[str]:
    return [stripped for line in text.splitlines() if (stripped := line.strip())]


def describe(found: Iterable[Leak]) -> str:
    """One sentence a leak."""
    return "\n".join(f"  cell {leak.cell_id!r}: {leak.line!r} is from {leak.origin}" for leak in found)

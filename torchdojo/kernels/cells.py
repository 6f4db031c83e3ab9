"""The code cells of a notebook that may be anything: read by hand, for importing nbformat costs 1.9 s."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class Unreadable(Exception):
    """Not a notebook that a Python kernel can run; the message is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class CodeCell:
    """A cell that a kernel runs: not empty, and not tagged `skip-execution` (nbclient leaves those out too)."""

    index: int  # among all cells
    source: str
    metadata: dict[str, Any]


def code_cells(notebook: bytes) -> list[CodeCell]:
    """The cells to run, in order.

    Raises:
        Unreadable
    """
    try:
        content = json.loads(notebook.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"This file is no notebook: {error}. Hand in the .ipynb that Jupyter saved.") from None
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise Unreadable("This file has no list of cells. Open it in Jupyter and save it again (notebook format 4).")
    _refuse_other_languages(content.get("metadata"))
    found = []
    for index, cell in enumerate(content["cells"]):
        source = _source(cell)
        if source is None:
            raise Unreadable(f"Cell {index + 1} of this notebook has no type or no source. Save it again in Jupyter.")
        metadata = cell.get("metadata") if isinstance(cell.get("metadata"), dict) else {}
        tags = metadata.get("tags")
        skipped = isinstance(tags, list) and "skip-execution" in tags
        if cell["cell_type"] == "code" and source.strip() and not skipped:
            found.append(CodeCell(index, source, metadata))
    return found


def _source(cell: object) -> str | None:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        return None
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    return source if isinstance(source, str) else None


def _refuse_other_languages(metadata: object) -> None:
    metadata = metadata if isinstance(metadata, dict) else {}
    for section, key in (("language_info", "name"), ("kernelspec", "language")):
        named = metadata.get(section)
        language = named.get(key) if isinstance(named, dict) else None
        if isinstance(language, str) and not language.lower().startswith(("python", "ipython")):
            raise Unreadable(f"This notebook is written in {language}, not Python. Choose a Python kernel in Jupyter.")

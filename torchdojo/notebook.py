"""Notebooks by the role of their cells: solution, grade, misconception, equivalent, hints.

Owns the reading and the names of roles; knows nothing of running, grading or releasing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from torchdojo.errors import AuthorError
from torchdojo.grade_cell import points_in_check

SOLUTION_BEGIN, SOLUTION_END = "### BEGIN SOLUTION", "### END SOLUTION"

_MAGIC = re.compile(r"\A%%(?P<kind>misconception|solution|equivalent|hints)\b[ \t]*(?P<key>[^\n]*)\n?")
_HEADER = re.compile(r"\A(?P<name>[a-z-]+):[ \t]*(?P<value>.*)\Z")
_KEY = re.compile(r"\A[a-z0-9][a-z0-9-]*\Z")
_HEADER_NAMES = {
    "misconception": {"title", "hint", "caught-by", "pair-with"},
    "solution": {"title"},
    "equivalent": {"because"},
}
_REQUIRED = {"misconception": ("title", "hint", "caught-by"), "solution": (), "equivalent": ("because",)}
AUTHOR_LINE = "%load_ext torchdojo.authoring"


@dataclass(frozen=True, slots=True)
class Variant:
    """One more way to write an exercise: a right one (`%%solution`) or a wrong one (`%%misconception`).

    Or a mutant that no test can kill (`%%equivalent`): `key` is the mutant's, `source` its `- old` and `+ new` lines.
    """

    kind: str
    key: str
    source: str
    header: dict[str, str] = field(default_factory=dict)
    cell: int = -1

    @property
    def title(self) -> str:
        return self.header.get("title", self.key)

    @property
    def hint(self) -> str:
        return self.header.get("hint", "")

    @property
    def caught_by(self) -> str:
        return self.header.get("caught-by", "")

    @property
    def pair_with(self) -> str:
        """The key of a misconception that no test can tell from this one, if the author says so."""
        return self.header.get("pair-with", "").split(" ")[0]


@dataclass(frozen=True, slots=True)
class SolutionCell:
    """A cell that students fill in: its position, nbgrader's id of it, and the instructor's source."""

    index: int
    grade_id: str
    source: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """One function or class to write: its solution cells, its grade cell, and what is known about wrong ideas.

    There is mostly one solution cell; the exercise is named after the first.
    """

    name: str
    solution_cells: tuple[SolutionCell, ...]
    grade_id: str
    tests: str
    points: float
    variants: tuple[Variant, ...] = ()
    hints: tuple[str, ...] = ()
    grade_cell: int = -1

    @property
    def sources(self) -> tuple[str, ...]:
        """The instructor's solution, one source a cell."""
        return tuple(cell.source for cell in self.solution_cells)

    @property
    def misconceptions(self) -> tuple[Variant, ...]:
        return tuple(v for v in self.variants if v.kind == "misconception")

    @property
    def solutions(self) -> tuple[Variant, ...]:
        return tuple(v for v in self.variants if v.kind == "solution")

    @property
    def equivalents(self) -> tuple[Variant, ...]:
        return tuple(v for v in self.variants if v.kind == "equivalent")


@dataclass(frozen=True, slots=True)
class Notebook:
    """A source notebook, read and checked.

    `given` holds the code cells that are neither tests nor variants, by position: imports, helpers, solutions.
    """

    path: Path
    exercises: tuple[Exercise, ...]
    given: tuple[tuple[int, str], ...]
    points: float

    def exercise(self, name: str) -> Exercise:
        """The exercise called `name`. Raises AuthorError that lists the names there are."""
        for exercise in self.exercises:
            if exercise.name == name:
                return exercise
        names = ", ".join(e.name for e in self.exercises)
        raise AuthorError(f"{self.path}: there is no exercise {name!r}. Write one of: {names}.")


def read(path: Path) -> Notebook:
    """Read and check the source notebook at `path`.

    Raises:
        AuthorError: not JSON, no kernelspec, two cells with one grade id, a grade cell without `check` or with
            other points than its metadata, a variant without its key or header. One message with file, cell, remedy.
    """
    node = read_node(path)
    return Notebook(
        path=path,
        exercises=tuple(_exercises(path, node)),
        given=tuple(_given(node)),
        points=sum(float(meta.get("points", 0)) for _, _, meta in graded_cells(node)),
    )


def read_node(path: Path) -> Any:
    """The notebook at `path` as nbformat has it (format 4). Raises AuthorError when it is no notebook."""
    if not path.is_file():
        raise AuthorError(f"{path}: there is no such notebook. Check the assignment's name in course.yml.")
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
        node = nbformat.reads(text, as_version=4)
        nbformat.validate(node)
    except UnicodeDecodeError as error:
        raise AuthorError(f"{path}: is not UTF-8 text ({error.reason}). Restore it from version control.") from error
    except json.JSONDecodeError as error:
        raise AuthorError(
            f"{path}:{error.lineno}: is not JSON ({error.msg}). A merge conflict? Restore it from version control."
        ) from error
    except (
        nbformat.ValidationError,
        nbformat.reader.NotJSONError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise AuthorError(
            f"{path}: is JSON but no notebook ({first}). Open it in JupyterLab and save it again."
        ) from error
    if not node.metadata.get("kernelspec", {}).get("name"):
        raise AuthorError(
            f"{path}: metadata.kernelspec is missing. Open it in JupyterLab, choose a kernel, and save it again."
        )
    return node


def graded_cells(node: Any) -> Iterator[tuple[int, Any, dict[str, Any]]]:
    """Position, cell and nbgrader metadata of every cell that carries points."""
    for index, cell in enumerate(node.cells):
        meta = cell.metadata.get("nbgrader") or {}
        if meta.get("grade"):
            yield index, cell, meta


def is_author_cell(source: str) -> bool:
    """Whether a cell is for authors only: a variant, an equivalent, hints, or the line that loads their magics."""
    return bool(_MAGIC.match(source)) or source.strip() == AUTHOR_LINE


def parse_variant(source: str, where: str, cell: int = -1) -> Variant:
    """Read a `%%solution` or `%%misconception` cell. Raises AuthorError naming `where` and what is missing."""
    match = _MAGIC.match(source)
    if match is None or match["kind"] in ("hints", "equivalent"):
        raise AuthorError(f"{where}: expected a cell that begins with %%misconception or %%solution.")
    kind, key = match["kind"], match["key"].strip()
    if not _KEY.match(key):
        got = repr(key) if key else "nothing"
        raise AuthorError(f"{where}: %%{kind} needs a key, got {got}. Write it as %%{kind} sums-the-losses.")
    header, body = _parse_head(kind, key, source[match.end() :], where)
    return Variant(kind=kind, key=key, source=body, header=header, cell=cell)


def parse_equivalents(source: str, where: str, cell: int = -1) -> tuple[Variant, ...]:
    """Read an `%%equivalent` cell: one mutant's key or several, one reason, and the altered lines of each.

    Raises:
        AuthorError: names `where`, and what is missing.
    """
    match = _MAGIC.match(source)
    if match is None or match["kind"] != "equivalent":
        raise AuthorError(f"{where}: expected a cell that begins with %%equivalent.")
    keys = match["key"].split()
    if not keys or not all(map(_KEY.match, keys)):
        got = match["key"].strip() or "nothing"
        raise AuthorError(f"{where}: %%equivalent needs keys as verify --mutate prints them, got {got!r}.")
    header, body = _parse_head("equivalent", match["key"].strip(), source[match.end() :], where)
    parts = [part.strip() for part in re.split(r"\n\s*\n", body.strip())]
    if len(parts) != len(keys) or not all(part.startswith("- ") for part in parts):
        raise AuthorError(
            f"{where}: %%equivalent has {len(keys)} keys and {len(parts)} alterations. Write one for each key below "
            "'---', as verify --mutate prints it ('- old', '+ new'), with an empty line between two."
        )
    return tuple(Variant("equivalent", key, part, header, cell) for key, part in zip(keys, parts, strict=True))


def _parse_head(kind: str, key: str, text: str, where: str) -> tuple[dict[str, str], str]:
    """The header and what stands below its '---'."""
    head, separator, body = ("\n" + text).partition("\n---\n")
    if not separator:
        raise AuthorError(f"{where}: %%{kind} {key}: no line '---' between the header and the code. Add one.")
    header: dict[str, str] = {}
    for line in head.strip().splitlines():
        entry = _HEADER.match(line)
        if entry is None or entry["name"] not in _HEADER_NAMES[kind]:
            allowed = ", ".join(sorted(_HEADER_NAMES[kind]))
            raise AuthorError(
                f"{where}: %%{kind} {key}: cannot read header line {line!r}. Write 'key: value' with one of: {allowed}."
            )
        header[entry["name"]] = entry["value"].strip()
    missing = [name for name in _REQUIRED[kind] if not header.get(name)]
    if missing:
        raise AuthorError(f"{where}: %%{kind} {key}: header misses {', '.join(missing)}. Add '{missing[0]}: …'.")
    return header, body


def _given(node: Any) -> Iterator[tuple[int, str]]:
    for index, cell in enumerate(node.cells):
        meta = cell.metadata.get("nbgrader") or {}
        if cell.cell_type == "code" and not is_author_cell(cell.source):
            if meta.get("grade") and not meta.get("solution"):
                continue
            yield index, cell.source


def _exercises(path: Path, node: Any) -> Iterator[Exercise]:
    _refuse_duplicates(path, node)
    current: dict[str, Any] | None = None
    solutions: list[SolutionCell] = []
    for index, cell in enumerate(node.cells):
        if cell.cell_type != "code":
            continue
        meta = cell.metadata.get("nbgrader") or {}
        where = f"{path}: cell {index + 1}"
        magic = _MAGIC.match(cell.source)
        if magic and current is None:
            raise AuthorError(f"{where}: %%{magic['kind']} stands before any grade cell. Move it under its tests.")
        if magic and current is not None:
            if magic["kind"] == "hints":
                current["hints"] = parse_hints(cell.source)
            elif magic["kind"] == "equivalent":
                current["variants"] += parse_equivalents(cell.source, where, index)
            else:
                current["variants"].append(parse_variant(cell.source, where, index))
        elif meta.get("solution") and not meta.get("grade"):
            solutions.append(SolutionCell(index, meta["grade_id"], cell.source))
        elif meta.get("grade") and not meta.get("solution"):
            if current is not None:
                yield _finish(path, current)
            where = f"{where} ({meta['grade_id']})"
            points = points_in_check(cell.source, where)
            if points != float(meta.get("points", 0)):
                raise AuthorError(
                    f"{where}: check(points={points:g}) but its metadata says {meta.get('points')} points. "
                    "Write the same number in both."
                )
            if not solutions:
                raise AuthorError(f"{where}: no solution cell stands before this grade cell. Add one.")
            current = {
                "name": solutions[0].grade_id,
                "solution_cells": tuple(solutions),
                "grade_id": meta["grade_id"],
                "grade_cell": index,
                "tests": cell.source,
                "points": points,
                "variants": [],
                "hints": (),
            }
            solutions = []
    if current is not None:
        yield _finish(path, current)


def _finish(path: Path, raw: dict[str, Any]) -> Exercise:
    seen: set[str] = set()
    for variant in raw["variants"]:
        if variant.key in seen:
            raise AuthorError(
                f"{path}: cell {variant.cell + 1}: {raw['name']} already has a variant {variant.key!r}. Rename one."
            )
        seen.add(variant.key)
    return Exercise(**{**raw, "variants": tuple(raw["variants"])})


def parse_hints(source: str) -> tuple[str, ...]:
    """The lines of a `%%hints` cell, without their numbers."""
    lines = [line.strip() for line in source.splitlines()[1:] if line.strip()]
    return tuple(re.sub(r"\A\d+\.\s*", "", line) for line in lines)


def _refuse_duplicates(path: Path, node: Any) -> None:
    seen: dict[str, int] = {}
    for index, cell in enumerate(node.cells):
        grade_id = (cell.metadata.get("nbgrader") or {}).get("grade_id")
        if not grade_id:
            continue
        if grade_id in seen:
            raise AuthorError(
                f"{path}: cells {seen[grade_id] + 1} and {index + 1} have one grade id, {grade_id!r}. Rename one."
            )
        seen[grade_id] = index

"""Pasted, split, copied and deleted cells: what can be put right before nbgrader's own steps is put right, and told.

nbgrader (0.9.6) stops the whole batch at a duplicated cell, and loses the submission at a cell that it does not know
(its issues 1083, 1682). Which cells there are, and of what kind, is the gradebook's word, never the submission's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from nbgrader.utils import compute_checksum

_ROLES = ("grade", "solution", "locked", "task")
_SKIPPED = "skip-execution"  # runners leave out a cell with this tag, and nbgrader gives full marks for no output


@dataclass(frozen=True, slots=True)
class ExpectedCell:
    """A cell of the assignment that nbgrader knows: its kind and what was released. `points` is None without any."""

    name: str
    cell_type: str
    grade: bool
    solution: bool
    task: bool
    locked: bool
    points: float | None
    checksum: str | None

    @property
    def graded(self) -> bool:
        return self.grade or self.task

    @property
    def by_hand(self) -> bool:
        """A written answer: only a human can say which of two copies is meant."""
        return self.grade and self.solution


@dataclass(slots=True)
class Repairs:
    """What was put right (`notes`), which cells stay open, and, where it cannot be graded at all, `refusal`."""

    notes: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    refusal: str = ""


def expected_cells(notebook: Any) -> dict[str, ExpectedCell]:
    """The cells of a notebook row of the gradebook, by grade id, in the order of the notebook."""
    points = {cell.name: cell.max_score for cell in (*notebook.grade_cells, *notebook.task_cells)}
    grade, solution, task = (
        {cell.name for cell in cells} for cells in (notebook.grade_cells, notebook.solution_cells, notebook.task_cells)
    )
    return {
        cell.name: ExpectedCell(
            name=cell.name,
            cell_type=cell.cell_type,
            grade=cell.name in grade,
            solution=cell.name in solution,
            task=cell.name in task,
            locked=bool(cell.locked),
            points=points.get(cell.name),
            checksum=cell.checksum,
        )
        for cell in notebook.source_cells
    }


def repair(node: Any, expected: Mapping[str, ExpectedCell], *, add_missing: bool) -> Repairs:
    """Put right, in place, what a student's editing did to nbgrader's metadata.

    Args:
        node: the submitted notebook.
        expected: the assignment's cells.
        add_missing: whether nbgrader is configured to put deleted cells back (`OverwriteCells.add_missing_cells`).
    """
    repairs = Repairs()
    repeatable_ids(node)
    _forget_unknown_cells(node, expected, repairs)
    if repairs.refusal:
        return repairs
    _restore_kinds(node, expected, repairs)
    _have_all_run(node, expected, repairs)
    _keep_one_of_each(node, expected, repairs)
    _tell_missing(node, expected, repairs, add_missing)
    return repairs


def _meta(cell: Any) -> Any:
    return cell.metadata.get("nbgrader")


def _grade_id(cell: Any) -> str | None:
    meta = _meta(cell)
    name = meta.get("grade_id") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else None  # a list, say, is nobody's, and cannot be looked up


def repeatable_ids(node: Any) -> None:
    """Give cells that have no id, or another cell's, one that is always the same. nbformat would draw one."""
    if (node.nbformat, node.nbformat_minor) < (4, 5):
        return
    seen: set[str] = set()
    for index, cell in enumerate(node.cells):
        if cell.get("id") in seen or not cell.get("id"):
            cell["id"] = hashlib.sha256(f"{index}:{cell.get('id')}:{cell.source}".encode()).hexdigest()[:8]
        seen.add(cell["id"])


def _forget_unknown_cells(node: Any, expected: Mapping[str, ExpectedCell], repairs: Repairs) -> None:
    unknown, known = [], False
    for index, cell in enumerate(node.cells):
        if "nbgrader" not in cell.metadata:
            continue
        meta, name = _meta(cell), _grade_id(cell)
        if isinstance(meta, dict) and not isinstance(meta.get("schema_version", 0), int):
            del meta["schema_version"]  # nbgrader compares it with a number
        if isinstance(meta, dict) and name in expected:
            known = True
        elif not isinstance(meta, dict) or not meta or (name is None and "grade_id" in meta):
            del cell.metadata["nbgrader"]
        elif any(meta.get(role) for role in _ROLES):
            unknown.append((index, name, cell))
    if unknown and not known:
        named = ", ".join(repr(name) for _, name, _ in unknown[:3])
        repairs.refusal = (
            f"none of this assignment's cells is in it, but others are ({named}). Another assignment's notebook? "
            "Ask for the right one."
        )
        return
    for index, name, cell in unknown:
        del cell.metadata["nbgrader"]
        which = f"says it is {name!r}, which this assignment has not" if name else "has lost its grade id"
        repairs.notes.append(f"cell {index + 1} {which}: pasted from elsewhere? It ran, and counts for nothing.")


def _restore_kinds(node: Any, expected: Mapping[str, ExpectedCell], repairs: Repairs) -> None:
    for cell in node.cells:
        name = _grade_id(cell)
        if name is None or name not in expected:
            continue
        want, meta = expected[name], _meta(cell)
        # of `locked` nbgrader itself has the last word, for grade cells it follows from the rest
        changed = [kind for kind in ("grade", "solution", "task") if bool(meta.get(kind)) != getattr(want, kind)]
        for kind in changed:
            meta[kind] = getattr(want, kind)
        if want.graded and not isinstance(meta.get("points"), int | float):
            meta["points"] = want.points
            changed.append("points")
        if not isinstance(meta.get("locked"), bool):
            meta["locked"] = want.locked
        if changed:
            repairs.notes.append(f"cell {name!r}: its {', '.join(changed)} had been changed, and was put right.")


def _have_all_run(node: Any, expected: Mapping[str, ExpectedCell], repairs: Repairs) -> None:
    for cell in node.cells:
        name, tags = _grade_id(cell), cell.metadata.get("tags")
        if name in expected and isinstance(tags, list) and _SKIPPED in tags:
            cell.metadata["tags"] = [tag for tag in tags if tag != _SKIPPED]
            repairs.notes.append(f"cell {name!r} was tagged {_SKIPPED}: it ran all the same.")


def _keep_one_of_each(node: Any, expected: Mapping[str, ExpectedCell], repairs: Repairs) -> None:
    copies: dict[str, list[Any]] = {}
    for cell in node.cells:
        name = _grade_id(cell)
        if name is not None and name in expected:
            copies.setdefault(name, []).append(cell)
    for name, cells in copies.items():
        if len(cells) == 1:
            continue
        want, kept = expected[name], cells[-1]  # the last, as nbgrader's DeduplicateIds
        if want.by_hand:
            answers = [cell for cell in cells if _differs_from_release(cell, want)]
            kept = answers[-1] if answers else kept
            if len({cell.source for cell in answers}) > 1:
                repairs.ambiguous.append(name)
        for cell in cells:
            if cell is not kept:
                del cell.metadata["nbgrader"]
        times = {2: "twice", 3: "three times"}.get(len(cells), f"{len(cells)} times")
        repairs.notes.append(f"cell {name!r} is there {times} (copied or split?): all ran, the last one counts.")


def _differs_from_release(cell: Any, want: ExpectedCell) -> bool:
    """By nbgrader's checksum, in which the cell's kind counts too."""
    return bool(cell.source.strip()) and (cell.cell_type != want.cell_type or compute_checksum(cell) != want.checksum)


def _tell_missing(node: Any, expected: Mapping[str, ExpectedCell], repairs: Repairs, add_missing: bool) -> None:
    there = {_grade_id(cell) for cell in node.cells}
    for want in expected.values():
        if want.name in there:
            continue
        if not add_missing:
            if want.graded:
                repairs.notes.append(
                    f"cell {want.name!r} ({want.points:g} points) was deleted: it waits for grading by hand. nbgrader "
                    "puts such cells back with c.OverwriteCells.add_missing_cells = True."
                )
        elif want.graded:
            repairs.notes.append(f"cell {want.name!r} was deleted, and was put back.")

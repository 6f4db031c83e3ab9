"""Whatever is done to a notebook's cells and their metadata: no points, no hidden test in the student's process."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.attacks.conftest import CANARIES
from tests.attacks.course import ASSIGNMENT, build, hand_in
from tests.grading import foreign
from tests.grading.running import InTurn
from torchdojo.grading.batch import autograde
from torchdojo.grading.folder import open_folder
from torchdojo.grading.runners import placement, terms_for
from torchdojo.grading.status import Status
from torchdojo.kernels.cells import Unreadable, code_cells
from torchdojo.kernels.job import CellResult, Job, JobStatus, Result

STUDENTS, SEED = 120, 20261130
NAMES = ["test_double", "test_scale", "test_quick", "double", "scale", "new"]
ODD = [True, False, None, 0, 1, 40, -1, 1e9, "", "x", *NAMES, "code", "markdown", [], {}, ["a"], {"a": 1}]
KEYS = "grade solution locked task points grade_id schema_version checksum cell_type more".split(" ")  # noqa: SIM905
TAGS = [["skip-execution"], ["raises-exception"], ["skip-execution", "x"], "skip-execution", None, []]
SOURCES = ["", "  ", "1.0", "pass", "check(points=10)", "# This cell (id:test_double) was missing from the submission."]
NOBODYS = {"grade": True, "solution": False, "locked": False, "points": 10, "schema_version": 3, "task": False}

Change = Callable[[random.Random, Any, Any], Any]


def _tags(chance: random.Random, node: Any, cell: Any) -> None:
    cell.metadata["tags"] = chance.choice(TAGS)


def _sets_a_key(chance: random.Random, node: Any, cell: Any) -> None:
    meta = cell.metadata.get("nbgrader")
    if isinstance(meta, dict):
        meta[chance.choice(KEYS)] = copy.deepcopy(chance.choice(ODD))


def _drops_a_key(chance: random.Random, node: Any, cell: Any) -> None:
    meta = cell.metadata.get("nbgrader")
    if isinstance(meta, dict) and meta:
        meta.pop(chance.choice(list(meta)))


def _copies(chance: random.Random, node: Any, cell: Any) -> None:
    again = copy.deepcopy(cell)
    if chance.random() < 0.5:
        again["source"] = chance.choice(SOURCES)
    node.cells.insert(chance.randrange(len(node.cells) + 1), again)


def _deletes(chance: random.Random, node: Any, cell: Any) -> None:
    node.cells.remove(cell)


def _moves(chance: random.Random, node: Any, cell: Any) -> None:
    node.cells.remove(cell)
    node.cells.insert(chance.randrange(len(node.cells) + 1), cell)


def _changes_the_type(chance: random.Random, node: Any, cell: Any) -> None:
    cell["cell_type"] = chance.choice(["code", "markdown", "raw", "CODE"])
    if cell["cell_type"] == "code":
        cell |= {"outputs": [], "execution_count": None}
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def _changes_the_source(chance: random.Random, node: Any, cell: Any) -> None:
    cell["source"] = chance.choice([*SOURCES, f"{SOURCES[-1]}\n\n{cell['source']}"])


def _replaces_all_metadata(chance: random.Random, node: Any, cell: Any) -> None:
    name = {"grade_id": chance.choice(NAMES)}
    cell.metadata["nbgrader"] = chance.choice([None, {}, [], "x", {"grade": True}, name, NOBODYS | name])


def _adds_a_cell(chance: random.Random, node: Any, cell: Any) -> None:
    meta = NOBODYS | {"grade_id": chance.choice(NAMES), "solution": chance.random() < 0.4, "cell_type": "code"}
    meta |= {"schema_version": chance.choice([1, 2, 3, 3, 3]), "locked": chance.random() < 0.5}
    new = nbformat.v4.new_code_cell("1.0", metadata={"nbgrader": meta}, id=f"new-{chance.randrange(10**6)}")
    node.cells.insert(chance.randrange(len(node.cells) + 1), new)


def _changes_the_notebook(chance: random.Random, node: Any, cell: Any) -> None:
    of = [{}, {"name": "bash", "language": "bash"}, {"name": "python3"}, None]
    node.metadata[chance.choice(["kernelspec", "language_info", "nbgrader", "widgets"])] = chance.choice(of)


CHANGES: list[Change] = [
    *(_tags, _sets_a_key, _drops_a_key, _copies, _deletes, _moves, _changes_the_type, _changes_the_source),
    *(_replaces_all_metadata, _adds_a_cell, _changes_the_notebook),
]


def _change(chance: random.Random, path: Path) -> None:
    node = nbformat.read(path, as_version=4)
    for _ in range(chance.randint(1, 6)):
        if node.cells:
            chance.choice(CHANGES)(chance, node, chance.choice(node.cells))
    path.write_text(json.dumps(node))


@pytest.mark.slow
def test_metadata_gains_nothing(tmp_path: Path) -> None:
    """In the worst case: all that runs in the student's process puts out nothing, which is full marks in nbgrader."""
    course, chance = build(tmp_path / "course", CANARIES), random.Random(SEED)
    for number in range(STUDENTS):
        _change(chance, hand_in(course, f"s{number:03}", {}) / f"{ASSIGNMENT}.ipynb")
    told: set[str] = set()

    def execute(job: Job) -> Result:
        try:
            cells = code_cells(job.notebook)
        except Unreadable as error:
            return Result(job.key, JobStatus.UNREADABLE, sentence=str(error))
        judged = dict(job.isolated)
        told.update(job.key for cell in cells if cell.index not in judged and CANARIES.hidden in cell.source)
        results = (
            CellResult(cell.index, _NO_POINTS, judged_in_kernel=False)
            if cell.index in judged
            else CellResult(cell.index)
            for cell in cells
        )
        return Result(job.key, JobStatus.COMPLETED, tuple(results))

    folder = open_folder(course, ["--log-level=CRITICAL"])
    terms = terms_for(folder, ASSIGNMENT, placement(folder, ASSIGNMENT, gpu=False), isolated=True)
    report = autograde(folder, ASSIGNMENT, executor=InTurn(), execute=execute, terms=terms)
    points = {graded.student: foreign.grades(course, graded.student) for graded in report.graded}
    assert len(points) == STUDENTS
    assert {student: of for student, of in points.items() if any(score for score, _ in of.values())} == {}
    assert told == set()
    assert [graded.sentence for graded in report.graded if graded.status is Status.OURS] == []


_NO_POINTS = (
    {"output_type": "execute_result", "data": {"text/plain": "0.0"}, "metadata": {}, "execution_count": None},
)

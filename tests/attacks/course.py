"""The course that is attacked: one notebook of three exercises; its hidden tests, gradebook and class hold canaries."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.attacks.attack import Attack
from tests.conftest import graded, write_notebook
from tests.grading import foreign

ASSIGNMENT = "01-attacked"
POINTS = {"test_double": 10.0, "test_scale": 3.0, "test_quick": 1.0}


@dataclass(frozen=True)
class Canaries:
    """Words by which it is seen what came out. An attack looks for CANARY-…, and knows no more."""

    hidden: str  # a comment in the hidden tests
    probe: str  # a constant in a probe of theirs, which runs in the student's process
    neighbour: str  # in another student's answer
    environment: str  # of the process that grades
    victim: str  # in the memory of another process on the machine

    def all(self) -> dict[str, str]:
        return dict(vars(self))


IMPORTS = "import numpy as np\nimport torch"

DOUBLE_TESTS = '''\
import copy

import numpy as np
import pytest
import torch
from torchdojo import check


def test_number(student):
    """Twice 3 is 6."""
    assert student.double(3) == 6


def test_error(student):
    """Nothing has no double: TypeError."""
    with pytest.raises(TypeError):
        student.double(None)


### BEGIN HIDDEN TESTS
# @hidden@ is the word that nobody must read
def test_fraction(student):
    """Twice 0.1 is 0.2, nearly."""
    assert student.double(0.1) == pytest.approx(0.2)


def test_tensor(student):
    """A tensor's elements are doubled."""
    assert torch.allclose(student.double(torch.tensor([1.5, 2.5])), torch.tensor([3.0, 5.0]))


def test_tensor_exactly(student):
    """Shape and dtype stay."""
    torch.testing.assert_close(student.double(torch.ones(2, 3)), torch.full((2, 3), 2.0))


def test_array(student):
    """An array's elements are doubled."""
    np.testing.assert_allclose(student.double(np.array([1.0, 4.0])), np.array([2.0, 8.0]))


def test_each_of_many(student):
    """All doubles of a hundred numbers are right."""
    assert all(student.double(n) == 2 * n for n in range(100, 110))


def test_list(student):
    """A list's items are doubled."""
    assert list(student.double([7, 8])) == [14, 16]


def test_copy(student):
    """What comes back can be copied."""
    assert copy.deepcopy(student.double(21)) == 42


def test_probe(student):
    """The argument is unchanged."""

    def probe(double):
        given, word = [5, 6], "@probe@"
        return len(word), list(double(given)), given

    assert student.run(probe, student.double)[1:] == ([10, 12], [5, 6])
### END HIDDEN TESTS

check(points=10)'''

SCALE_TESTS = '''\
import torch
from torchdojo import check


def test_halves(student):
    """Scaled by one half."""
    torch.testing.assert_close(student.scale(torch.ones(3), 0.5), torch.full((3,), 0.5))


### BEGIN HIDDEN TESTS
def test_other_factors(student):
    """Scaled by -3."""
    torch.testing.assert_close(student.scale(torch.arange(3.0), -3), torch.tensor([0.0, -3.0, -6.0]))
### END HIDDEN TESTS

check(points=3)'''

QUICK_TESTS = '''\
import time

from torchdojo import check


def test_quick(student):
    """4 more than 8, within a second."""
    before = time.monotonic()
    got = student.quick(8)
    assert time.monotonic() - before < 1
    assert got == 12


check(points=1)'''

RIGHT = {
    "double": '''\
def double(x):
    """Twice x, of numbers, tensors, arrays and lists."""
    if x is None:
        raise TypeError("nothing to double")
    return [2 * item for item in x] if isinstance(x, list) else 2 * x''',
    "scale": "def scale(x, factor):\n    return x * factor",
    "quick": "def quick(x):\n    return x + 4",
}

_CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "attacked"
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = 20
"""
_COURSE = """\
format: 1
title: A course under attack
course_id: attacked
languages: [en]
timezone: UTC
data: data
limits: {limits}
runners: {{local: {{device: cpu, workers: 2, threads: 1}}}}
assignments:
  - {{name: 01-attacked, section: '1.1', title: Attacked, points: 14}}
"""
CELL_TIMEOUT_S = 8
TIGHT = (
    f"{{cell_timeout_s: {CELL_TIMEOUT_S}, notebook_timeout_s: 60, memory_mib: 1000, output_mib: 1, disk_mib: 48,"
    " processes: 24}"
)
LOOSE = (
    f"{{cell_timeout_s: {CELL_TIMEOUT_S}, notebook_timeout_s: 60, memory_mib: 16000, output_mib: 100, disk_mib: 10000,"
    " processes: 4000}"
)


def build(folder: Path, canaries: Canaries) -> Path:
    """The course, released, with nobody's work in it yet."""
    cells = [
        new_markdown_cell("# 1 · Doubling", id="title"),
        new_code_cell(IMPORTS, id="imports"),
        *_exercise("double", DOUBLE_TESTS.replace("@hidden@", canaries.hidden).replace("@probe@", canaries.probe)),
        *_exercise("scale", SCALE_TESTS),
        *_exercise("quick", QUICK_TESTS),
    ]
    write_notebook(folder / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb", cells)
    (folder / "nbgrader_config.py").write_text(_CONFIG)
    (folder / "course.yml").write_text(_COURSE.format(limits=TIGHT))
    (folder / "data").mkdir()
    (folder / "data" / "digits.txt").write_text("0123456789")
    with foreign.with_alembic():
        foreign.release(folder, ASSIGNMENT)
    return folder


def _exercise(name: str, tests: str) -> list[Any]:
    solution = f"### BEGIN SOLUTION\n{RIGHT[name]}\n### END SOLUTION"
    points = POINTS[f"test_{name}"]
    return [
        graded(solution, name, solution=True),
        graded(tests, f"test_{name}", grade=True, locked=True, points=points),
    ]


def loosen(folder: Path) -> None:
    """Limits as good as none."""
    (folder / "course.yml").write_text(_COURSE.format(limits=LOOSE))


def hand_in(folder: Path, student: str, answers: Mapping[str, str], attack: Attack | None = None) -> Path:
    """Submit the release with these answers, by grade id; "imports" is added to that cell, "after" is a cell more."""
    place = Path(shutil.copytree(folder / "release" / ASSIGNMENT, folder / "submitted" / student / ASSIGNMENT))
    path = place / f"{ASSIGNMENT}.ipynb"
    node = nbformat.read(path, as_version=4)
    for cell in node.cells:
        name = (cell.metadata.get("nbgrader") or {}).get("grade_id", cell.id)
        if name == "imports":
            cell.source += "\n" + answers.get("imports", "")
        elif name in answers:
            cell.source = answers[name]
    if "after" in answers:
        node.cells.append(new_code_cell(answers["after"], id="after"))
    for name, content in (attack.files if attack is not None else {}).items():
        (place / name).write_text(content)
    if attack is not None and attack.edit is not None:
        attack.edit(node)
    path.write_text(nbformat.v4.writes(node))
    return place


def neighbours(canaries: Canaries) -> dict[str, dict[str, str]]:
    """Students who attack nothing: before, between and after the others."""
    words = f"# {canaries.neighbour} is in my answer\n"
    return {
        "aaron": RIGHT | {"double": words + RIGHT["double"]},
        "neighbour": {"scale": RIGHT["scale"]},
        "untouched": {},
        "zz-zoe": dict(RIGHT),
    }


def hand_in_attacks(folder: Path, attacks: Iterable[Attack], fill: Mapping[str, Mapping[str, str]]) -> None:
    """The attackers' work. `fill` says what stands for each @word@ in an attack's cells, by its name."""
    for attack in attacks:
        answers = {name: _filled(source, fill[attack.name]) for name, source in attack.cells.items()}
        hand_in(folder, attack.name, answers, attack)


def _filled(source: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        source = source.replace(f"@{name}@", value)
    return source.strip("\n")

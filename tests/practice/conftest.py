"""A course of two exercises in plain Python, a learner's copy of its notebook, and one warm runner for all tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from tests.conftest import SOLUTION, TESTS, graded, write_notebook
from torchdojo.grade_cell import visible_part
from torchdojo.kernels.execute import Runner
from torchdojo.kernels.sandbox_probe import probe
from torchdojo.practice.judging import Event, Judging
from torchdojo.practice.prepare import prepare
from torchdojo.practice.request import Request

HALVE = '''\
def halve(x):
    """Half of x."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION'''

TESTS_OF_HALVE = '''\
from torchdojo import check


def test_of_four(student):
    """Half of 4 is 2."""
    assert student.halve(4) == 2


### BEGIN HIDDEN TESTS
def test_of_a_secret_number(student):
    """Half of an odd number has a fraction."""
    assert student.halve(12345) == 6172.5
### END HIDDEN TESTS

check(points=2)'''

STUB = "def double(x):\n    raise NotImplementedError()"
RIGHT = "def double(x):\n    return x + x"
WRONG = "def double(x):\n    return x * x"
HALVE_STUB = "def halve(x):\n    raise NotImplementedError()"
HALVE_RIGHT = "def halve(x):\n    return x / 2"

Cells = dict[str, Any]


def source_cells() -> list[Any]:
    """The instructor's cells: an import that learners may not change, `double` (3 points), `halve` (2 points)."""
    return [
        new_markdown_cell("# Doubling and halving", id="title"),
        graded("import math", "imports", locked=True),
        graded(SOLUTION, "double", solution=True),
        graded(TESTS, "test_double", grade=True, locked=True, points=3),
        graded(HALVE, "halve", solution=True),
        graded(TESTS_OF_HALVE, "test_halve", grade=True, locked=True, points=2),
    ]


def learners_cells(double: str = STUB, halve: str = HALVE_STUB) -> Cells:
    """What a learner has, by grade id, in order; a test may change, add, or take away."""
    return {
        "title": new_markdown_cell("# Doubling and halving", id="title"),
        "imports": graded("import math", "imports", locked=True),
        "double": graded(double, "double", solution=True),
        "test_double": graded(visible_part(TESTS), "test_double", grade=True, locked=True, points=3),
        "halve": graded(halve, "halve", solution=True),
        "test_halve": graded(visible_part(TESTS_OF_HALVE), "test_halve", grade=True, locked=True, points=2),
    }


def plain(source: str) -> Any:
    """A code cell that nbgrader knows nothing of."""
    return new_code_cell(source)


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """The course's folder; release/01-small is not there unless a test writes it."""
    folder = tmp_path / "course"
    write_notebook(folder / "source" / "01-small" / "01-small.ipynb", source_cells())
    (folder / "course.yml").write_text(
        "format: 1\ntitle: Small\ncourse_id: small\nlanguages: [en]\ntimezone: UTC\nsandbox: none\n"
        "limits: {cell_timeout_s: 20}\n"
        "runners: {local: {device: cpu, workers: 1, threads: 1}}\n"
        "assignments:\n  - {name: 01-small, section: '1.1', title: Small, points: 5}\n"
    )
    return folder


@pytest.fixture
def notebook(course: Path) -> Callable[..., Path]:
    """Write the learner's copy, of these cells in this order, outside of the course; return its path."""

    def write(cells: Cells | Sequence[Any]) -> Path:
        listed = list(cells.values()) if isinstance(cells, dict) else list(cells)
        for number, cell in enumerate(listed):
            cell["id"] = f"c{number}"
        return write_notebook(course.parent / "mine" / "01-small.ipynb", listed)

    return write


class Judge:
    """Checks in one warm runner, and keeps what was told."""

    def __init__(self, runner: Runner | None = None) -> None:
        self._judging: Judging | None = None
        self.runner = runner or Runner(lambda session, cell: self._now().runner_of(session, cell))

    def _now(self) -> Judging:
        assert self._judging is not None
        return self._judging

    def __call__(self, course: Path, path: Path, *exercises: str) -> list[Event]:
        """The events of a check, but for those that only say how far it is."""
        events: list[Event] = []
        prepared = prepare(Request(str(path), exercises, str(path.parent), str(course)), probe)
        self._judging = Judging(prepared, events.append)
        self._judging.finish(self.runner.execute(prepared.job))
        return [event for event in events if event["event"] != "at"]


@pytest.fixture(scope="session")
def judge() -> Iterator[Judge]:
    """`judge(course, notebook, *exercises) -> events`."""
    judge = Judge()
    yield judge
    judge.runner.close()


@pytest.fixture
def runtime_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for the sockets of a test's warm servers, which end with it; this process finds them too."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    yield folder
    run_check("--stop", runtime=folder)


def run_check(*arguments: str | Path, runtime: Path, here: Path | None = None, **more: Any) -> Any:
    """`torchdojo check …` as it is typed."""
    command = [sys.executable, "-m", "torchdojo", "check", *map(str, arguments)]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(runtime), **more}
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False, timeout=300)

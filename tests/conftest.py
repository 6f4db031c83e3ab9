"""Fixtures shared by all tests: a small course in a folder of its own, made of cells."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest
from hypothesis import HealthCheck, settings
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parent.parent

# A shell lets what it starts in the background ignore Ctrl-C, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A slow or busy machine is no failure: no test of ours is timed.
settings.register_profile("torchdojo", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("torchdojo")


def notebook(*sources: str) -> bytes:
    """An .ipynb of code cells."""
    cells = [
        {"cell_type": "code", "id": f"c{i}", "source": s, "metadata": {}, "outputs": [], "execution_count": None}
        for i, s in enumerate(sources)
    ]
    kernelspec = {"name": "python3", "language": "python", "display_name": "Python 3"}
    content = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernelspec}, "cells": cells}
    return json.dumps(content).encode()


SOLUTION = '''\
def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    twice_of_what_was_given = x + x
    return twice_of_what_was_given
    ### END SOLUTION'''

TESTS = '''\
from torchdojo import check


def test_of_three(student):
    """Twice 3 is 6."""
    assert student.double(3) == 6


### BEGIN HIDDEN TESTS
def test_of_a_negative_number(student):
    """Twice -4 is -8."""
    assert student.double(-4) == -8


def test_of_text(student):
    """Twice a text is the text twice over."""
    assert student.double("ab") == "abab"
### END HIDDEN TESTS

check(points=3)'''

ALTERNATIVE = """\
%%solution by-two
---
def double(x):
    return x * 2"""

SQUARES = """\
%%misconception squares
title: The square was taken
hint: What is the double of 1?
caught-by: test_of_three
---
def double(x):
    return x * x"""

FORGETS_TEXT = """\
%%misconception numbers-only
title: Only numbers were thought of
hint: What does 2 * "ab" give?
caught-by: test_of_text
---
def double(x):
    return float(x) * 2"""

FORGETS_SIGN = """\
%%misconception forgets-the-sign
title: The sign was lost
hint: What is the double of -1?
caught-by: test_of_a_negative_number
---
def double(x):
    return x * 2 if isinstance(x, str) else abs(x) * 2"""

HINTS = """\
%%hints
1. What do you get when you add a thing to itself?
2. The operator + works for numbers and for text.
3. Return x + x."""


def graded(source: str, grade_id: str, **meta: Any) -> Any:
    """A code cell with nbgrader's metadata."""
    cell = new_code_cell(source, id=grade_id)
    whole = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3}
    cell.metadata["nbgrader"] = whole | {"grade_id": grade_id, "cell_type": "code"} | meta
    return cell


def small_cells() -> list[Any]:
    """The cells of a whole small source notebook: one exercise, `double`, worth 3 points."""
    return [
        new_markdown_cell("# 1 · Doubling", id="title"),
        new_code_cell("%load_ext torchdojo.authoring", id="author"),
        graded(SOLUTION, "double", solution=True),
        graded(TESTS, "test_double", grade=True, locked=True, points=3),
        *(
            new_code_cell(source, id=f"variant-{number}")
            for number, source in enumerate([ALTERNATIVE, SQUARES, FORGETS_TEXT, FORGETS_SIGN, HINTS])
        ),
    ]


def write_notebook(path: Path, cells: Sequence[Any]) -> Path:
    """Write a notebook of these cells, with Python's kernelspec."""
    node = new_notebook(
        cells=list(cells),
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(node, path)
    return path


@pytest.fixture
def small_notebook(tmp_path: Path) -> Callable[..., Path]:
    """Write the small source notebook, its cells changed by a function if one is given; return its path."""

    def write(change: Callable[[list[Any]], Any] | None = None) -> Path:
        cells = small_cells()
        if change is not None:
            change(cells)
        return write_notebook(tmp_path / "source" / "01-small" / "01-small.ipynb", cells)

    return write


def write_small_course(folder: Path) -> Path:
    """A course of one small assignment, with the repository's own nbgrader_config.py."""
    write_notebook(folder / "source" / "01-small" / "01-small.ipynb", small_cells())
    (folder / "course.yml").write_text(
        "format: 1\ntitle: A small course\ncourse_id: small\nlanguages: [en]\ntimezone: UTC\nsandbox: none\n"
        "limits: {cell_timeout_s: 30}\n"
        "runners: {local: {device: cpu, workers: 2, threads: 1}}\n"
        "assignments:\n  - {name: 01-small, section: '1.1', title: Doubling, points: 3}\n"
    )
    shutil.copy(ROOT / "nbgrader_config.py", folder)
    return folder


@pytest.fixture
def small_course(tmp_path: Path) -> Path:
    """A course of one small assignment, nothing released; returns its folder."""
    return write_small_course(tmp_path)


@pytest.fixture(scope="session")
def _released_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_small_course(tmp_path_factory.mktemp("released"))
    command = [sys.executable, "-m", "torchdojo", "release", "01-small"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def released_course(_released_once: Path, tmp_path: Path) -> Path:
    """A copy of the small course, released; returns its folder."""
    return shutil.copytree(_released_once, tmp_path / "course")


@pytest.fixture(scope="session")
def real_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course page of this repository in all its languages, with outcomes made up: nothing is run for it."""
    from torchdojo.authoring.site import build_site, site_languages
    from torchdojo.authoring.site.outcomes import Outcomes
    from torchdojo.checks.compiled import test_names
    from torchdojo.course import load
    from torchdojo.notebook import Exercise, read

    def rows(exercise: Exercise) -> dict[str, dict[str, str]]:
        words = ["passed", "wrong", "raised ValueError", "skipped", "not attempted"]
        return {
            idea.key: {name: words[(at + number) % len(words)] for at, name in enumerate(test_names(exercise.tests))}
            for number, idea in enumerate(exercise.misconceptions)
        }

    course = load(ROOT)
    outcomes = {
        entry.name: Outcomes({e.name: rows(e) for e in read(course.source_notebook(entry)).exercises}, 0, 0.0)
        for entry in course.assignments
    }
    target = tmp_path_factory.mktemp("course-page") / "site"
    return build_site(course, target, langs=site_languages(course), outcomes=outcomes).parent

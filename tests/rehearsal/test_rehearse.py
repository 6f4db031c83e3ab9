"""A pretend class: the same for the same seed, known grades beside it, nobody's real work replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from torchdojo.notebook import read
from torchdojo.rehearsal.pupils import draw_class


def rehearse(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Call the command in a course's folder."""
    command = [sys.executable, "-m", "torchdojo", "rehearse", "01-small", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_same_seed_same_class(small_course: Path) -> None:
    """The same seed draws the same class, another seed another; the first is all right, the second all empty."""
    notebook = read(small_course / "source" / "01-small" / "01-small.ipynb")
    one, again, other = (draw_class(notebook, 20, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other
    assert one[0].answers[0].kind == "reference"
    assert one[1].answers[0].kind == "empty"
    assert len({pupil.name for pupil in one}) == 20


def test_answers_on_broken_ground_are_left_out(tmp_path: Path) -> None:
    """Who has an exercise wrong leaves out those whose code calls it: their grades could not be known ahead."""
    from nbformat.v4 import new_code_cell

    from tests.conftest import graded, small_cells, write_notebook

    cells = small_cells()
    cells += [
        graded(
            "def four(x):\n    ### BEGIN SOLUTION\n    return double(double(x))\n    ### END SOLUTION",
            "four",
            solution=True,
        ),
        graded("def test_four(student):\n    assert student.four(1) == 4\ncheck(points=1)", "t4", grade=True, points=1),
        new_code_cell(
            "%%misconception eight\ntitle: T\nhint: H?\ncaught-by: test_four\n---\ndef four(x): return 8 * x"
        ),
    ]
    notebook = read(write_notebook(tmp_path / "two.ipynb", cells))
    for pupil in draw_class(notebook, 200, 0):
        double, four = pupil.answers
        if double.kind in ("misconception", "empty"):
            assert four.kind in ("misconception", "empty")
        if four.kind == "reference":
            assert double.kind == "reference"


def test_known_grades_equal_nbgraders(released_course: Path) -> None:
    """What is written beside the class is what plain nbgrader finds."""
    from nbgrader.api import Gradebook

    assert rehearse(released_course, "--students", "5", "--seed", "3").returncode == 0
    known = json.loads((released_course / "submitted" / "01-small.known.json").read_text())["grades"]
    command = [sys.executable, "-m", "nbgrader", "autograde", "01-small"]
    done = subprocess.run(command, cwd=released_course, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Gradebook(f"sqlite:///{released_course / 'gradebook.db'}", "small") as gradebook:
        scores = {entry["student"]: gradebook.find_submission("01-small", entry["student"]).score for entry in known}
    assert scores == {entry["student"]: entry["score"] for entry in known}
    assert len(set(scores.values())) > 1


def test_again_with_the_same_arguments_writes_nothing(released_course: Path) -> None:
    """Rehearsed again unchanged, no file is touched; with another seed the class is another."""
    rehearse(released_course, "--students", "4")
    files = {path: path.stat().st_mtime_ns for path in (released_course / "submitted").rglob("*") if path.is_file()}
    rehearse(released_course, "--students", "4")
    assert {
        path: path.stat().st_mtime_ns for path in (released_course / "submitted").rglob("*") if path.is_file()
    } == files
    rehearse(released_course, "--students", "4", "--seed", "9")
    assert (released_course / "submitted" / "01-small.known.json").stat().st_mtime_ns not in files.values()


def test_trouble_is_written_as_it_says(released_course: Path) -> None:
    """--trouble adds one student each: a crash, an endless loop, a killed kernel, a file that is not JSON."""
    rehearse(released_course, "--students", "2", "--trouble")
    known = json.loads((released_course / "submitted" / "01-small.known.json").read_text())["grades"]
    by_trouble = {entry["wrote"].get("trouble"): entry for entry in known}
    assert set(by_trouble) == {None, "crash", "endless-loop", "killed-kernel", "not-json"}
    notebook = released_course / "submitted" / by_trouble["not-json"]["student"] / "01-small" / "01-small.ipynb"
    with pytest.raises(json.JSONDecodeError):
        json.loads(notebook.read_text())
    assert by_trouble["not-json"]["score"] is None


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--students", "1"], "a class has at least 2"), (["--seed", "x"], "Invalid value")],
)
def test_wrong_options(options: list[str], message: str, released_course: Path) -> None:
    """A wrong option: one message, status 2, nothing written."""
    done = rehearse(released_course, *options)
    assert (done.returncode, message in done.stderr) == (2, True)
    assert not (released_course / "submitted").exists()


def test_not_released_yet(small_course: Path) -> None:
    """Without a release, the message says what to type."""
    done = rehearse(small_course)
    assert done.returncode == 2
    assert "torchdojo release 01-small" in done.stderr


def test_real_submission_is_never_replaced(released_course: Path) -> None:
    """A submission that no rehearsal wrote: refused, and still there."""
    real = released_course / "submitted" / "real" / "01-small"
    real.mkdir(parents=True)
    (real / "01-small.ipynb").write_text("mine")
    done = rehearse(released_course)
    assert done.returncode == 2
    assert "a submission that no rehearsal wrote" in done.stderr
    assert (real / "01-small.ipynb").read_text() == "mine"

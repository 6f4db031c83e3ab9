"""A check in real kernels: what is told of right, wrong, patched and broken notebooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import TESTS
from tests.practice.conftest import HALVE_RIGHT, RIGHT, STUB, TESTS_OF_HALVE, WRONG, Judge, learners_cells, plain
from torchdojo.grade_cell import hidden_lines
from torchdojo.kernels.sandbox_probe import probe
from torchdojo.practice.judging import Event
from torchdojo.practice.prepare import prepare
from torchdojo.practice.request import Request
from torchdojo.practice.voice import Voice

Write = Callable[..., Path]


def status(events: list[Event]) -> int:
    """The exit status that these events end in."""
    with Voice("01-small") as voice:
        for event in events:
            voice.hear(event)
        return voice.finish()


def verdicts(event: Event) -> list[str]:
    """The verdicts of an exercise's tests."""
    return [each["verdict"] for each in event["outcomes"]]


def test_right_solution(course: Path, notebook: Write, judge: Judge) -> None:
    """A right solution passes the visible and the hidden tests: all points, status 0."""
    events = judge(course, notebook(learners_cells(RIGHT)), "double")
    assert [event["event"] for event in events] == ["exercise", "end"]
    assert (events[0]["points"], events[0]["max_points"], verdicts(events[0])) == (3, 3, ["passed"] * 3)
    assert events[1]["following"] == "halve"
    assert status(events) == 0


def test_wrong_solution(course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong one is told what was expected and what came, as in the notebook: status 1."""
    events = judge(course, notebook(learners_cells(WRONG)), "double")
    first = events[0]["outcomes"][0]
    assert (first["name"], first["title"]) == ("test_of_three", "Twice 3 is 6.")
    assert (first["verdict"], first["expected"], first["got"]) == ("wrong", "6", "9")
    assert status(events) == 1
    said = capsys.readouterr().out
    assert "Twice 3 is 6.  [not yet right]" in said
    assert said.rstrip().endswith("Then: torchdojo check 01-small double")


def test_untouched_notebook(course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """What students get earns nothing and is told what to write first."""
    events = judge(course, notebook(learners_cells()))
    assert [event["points"] for event in events if event["event"] == "exercise"] == [0, 0]
    assert status(events) == 1
    assert "0 of 5 points. Next: write double." in capsys.readouterr().out


@pytest.mark.parametrize(
    "patch",
    ["check = lambda points: 99", "def test_of_three(student):\n    pass\ncheck(points=3)", "", "raise SystemExit"],
    ids=["own check", "own tests", "emptied", "ends the kernel"],
)
def test_patched_tests_change_nothing(course: Path, notebook: Write, judge: Judge, patch: str) -> None:
    """Whatever a learner writes into a grade cell, the course's own is judged by."""
    cells = learners_cells(WRONG, HALVE_RIGHT)
    cells["test_double"]["source"] = patch
    events = judge(course, notebook(cells))
    assert verdicts(events[0]) == ["wrong", "wrong", "raised"]
    assert [event.get("points") for event in events[:2]] == [0, 2]


def test_deleted_tests_change_nothing(course: Path, notebook: Write, judge: Judge) -> None:
    """A learner who deletes the tests is judged by them all the same."""
    cells = learners_cells(RIGHT)
    del cells["test_double"]
    assert verdicts(judge(course, notebook(cells), "double")[0]) == ["passed"] * 3


def test_a_patched_pytest_changes_nothing(course: Path, notebook: Write, judge: Judge) -> None:
    """What the learner's cells do to the modules that judge, they do to their own process."""
    cells = learners_cells(WRONG)
    patch = (
        "import pytest, torchdojo.checks.outcome as o\npytest.main = lambda *_: 0\no.score = lambda points, _: points"
    )
    events = judge(course, notebook([plain(patch), *cells.values()]), "double")
    assert events[0]["points"] == 0


def test_source_of_hidden_tests_is_told_nowhere(
    course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither events nor what is printed of them have a line of a hidden test, also where the learner's code looks."""
    looks = (
        "import gc, sys\n"
        "def halve(x):\n"
        "    frame, seen = sys._getframe(), []\n"
        "    while frame:\n"
        "        seen.append(str(frame.f_locals)[:2000])\n"
        "        frame = frame.f_back\n"
        "    raise ValueError(' '.join(seen))"
    )
    events = judge(course, notebook(learners_cells(WRONG, looks)))
    status(events)
    told = json.dumps(events) + "".join(capsys.readouterr())
    for line in hidden_lines(TESTS) | hidden_lines(TESTS_OF_HALVE):
        assert line not in told


def test_a_cell_that_raised(course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that raised is named in one line, with its error; the rest goes on."""
    cells = learners_cells("def double(x:\n    return", HALVE_RIGHT)
    events = judge(course, notebook(cells))
    raised = events[0]
    assert (raised["event"], raised["cell"], raised["exercise"]) == ("raised", "cell 3 (double)", "double")
    assert raised["error"].startswith("SyntaxError: ")
    assert "\n" not in raised["error"]
    assert verdicts(events[1]) == ["not attempted"] * 3
    assert events[2]["points"] == 2
    assert status(events) == 1
    assert "Next: mend cell 3 (double), which raised." in capsys.readouterr().out


def test_a_kernel_that_ends(course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    """A cell that ends the kernel is named once and costs its own exercise; the next one is judged, status 1."""
    events = judge(course, notebook(learners_cells(f"import os\n{RIGHT}\nos._exit(3)", HALVE_RIGHT)))
    assert [event["event"] for event in events] == ["raised", "exercise", "exercise", "end"]
    assert "exit status 3" in events[0]["error"]
    assert verdicts(events[1]) == ["not attempted"] * 3
    assert events[2]["points"] == 2
    assert status(events) == 1
    assert "Next: mend cell 3 (double)" in capsys.readouterr().out


def test_a_test_that_fails_itself(
    course: Path, notebook: Write, judge: Judge, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test with a fault of its own is ours: status 3, and the learner reads that it is not theirs."""
    path = course / "source" / "01-small" / "01-small.ipynb"
    path.write_text(path.read_text().replace("student.double(3) == 6", "student.double(3) == six"))
    events = judge(course, notebook(learners_cells(RIGHT)), "double")
    assert verdicts(events[0])[0] == "grader failed"
    assert status(events) == 3
    assert "test_of_three of double itself failed: that is not your fault." in capsys.readouterr().out


def test_cells_before_and_after(course: Path, notebook: Write, judge: Judge) -> None:
    """Cells before run, tests that were not asked for do not, and nothing after the last that was."""
    cells = learners_cells("factor = 2\n" + STUB, "def halve(x):\n    return x / factor")
    cells["last"] = new_code_cell("raise RuntimeError('too far')")
    events = judge(course, notebook(cells), "halve")
    assert [event["event"] for event in events] == ["exercise", "end"]
    assert events[0]["points"] == 2


def test_files_of_the_assignment(course: Path, notebook: Write, judge: Judge) -> None:
    """The assignment's own files lie beside the notebook; the learner's Python files do not."""
    (course / "source" / "01-small" / "two.txt").write_text("2")
    path = notebook(learners_cells("two = int(open('two.txt').read())\nimport helper"))
    (path.parent / "helper.py").write_text("raise RuntimeError('not mine to run')")
    events = judge(course, path, "double")
    assert events[0]["error"] == "ModuleNotFoundError: No module named 'helper'"


def test_sandbox_that_this_machine_cannot_give(course: Path, notebook: Write) -> None:
    """A sandbox that cannot be had is refused by name before anything runs, as autograde does."""
    from dataclasses import replace

    from torchdojo.errors import OursError

    path = notebook(learners_cells())
    less = replace(probe(at_most="none"), missing="This machine has no walls.")
    with pytest.raises(OursError, match=r"asks for `sandbox: full` and this machine gives none\. This machine has no"):
        prepare(Request(str(path), (), "/", str(course), "full"), lambda *_args, **_named: less)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("02-small", "Did you mean 01-small"),
        ("01-smal.ipynb", "Did you mean 01-small"),
        ("01-small.ipynb", "there is no such file"),
        ("01-small", "there is no such notebook"),
        ("source/01-small/01-small.ipynb", "is the instructor's"),
    ],
)
def test_notebooks_that_are_not_there(course: Path, typed: str, sentence: str) -> None:
    """A notebook that is not there, or not a learner's: what to type instead."""
    from torchdojo.errors import AuthorError

    with pytest.raises(AuthorError, match=sentence):
        prepare(Request(typed, (), str(course), str(course)), probe)


def test_another_name_for_the_file(course: Path, notebook: Write) -> None:
    """A copy under another name: which name it should have."""
    from torchdojo.errors import AuthorError

    path = notebook(learners_cells())
    other = path.rename(path.with_name("01-small-Copy1.ipynb"))
    with pytest.raises(AuthorError, match=r"Rename it to 01-small\.ipynb"):
        prepare(Request(str(other), (), "/", str(course)), probe)

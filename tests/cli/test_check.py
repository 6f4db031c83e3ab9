"""`torchdojo check` as it is typed: what it imports, what it refuses, what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.practice.conftest import (
    HALVE_RIGHT,
    WRONG,
    course,
    learners_cells,
    notebook,
    run_check,
    runtime_folder,
)
from torchdojo.practice.channel import Door, name_for

__all__ = ["course", "notebook", "runtime_folder"]  # fixtures

Write = Callable[..., Path]


def test_client_imports_nothing_heavy() -> None:
    """What runs at every check imports neither what judges nor what reads notebooks: it answers at once."""
    heavy = "{'torch', 'numpy', 'pytest', 'nbformat', 'nbgrader', 'pydantic', 'rich', 'IPython', 'psutil'}"
    code = (
        "import sys\nimport torchdojo.cli.check, torchdojo.practice.check, torchdojo.practice.warm_client\n"
        "from torchdojo.practice.channel import runtime_folder\nfrom torchdojo.practice.stamp import stamp\n"
        f"runtime_folder(), stamp()\nprint(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_without_keeping(course: Path, notebook: Write, runtime_folder: Path) -> None:
    """--no-keep judges without a warm server, and leaves none; JSON on stdout, one line an exercise."""
    path = notebook(learners_cells(WRONG, HALVE_RIGHT))
    done = run_check(path, "--no-keep", "--json", runtime=runtime_folder, here=course)
    assert done.returncode == 1, done.stderr
    double, halve = map(json.loads, done.stdout.splitlines())
    assert (double["exercise"], double["points"], double["max_points"]) == ("double", 0, 3)
    assert double["outcomes"][0] == {
        "name": "test_of_three",
        "title": "Twice 3 is 6.",
        "verdict": "wrong",
        "message": "",
        "expected": "6",
        "got": "9",
    }
    assert (halve["exercise"], halve["points"]) == ("halve", 2)
    assert "secret_number" not in done.stdout.replace("test_of_a_secret_number", "")
    with Door() as door:
        assert door.names() == []


def test_refusals(course: Path, notebook: Write, runtime_folder: Path, tmp_path: Path) -> None:
    """No course, no notebook, no exercise, no JSON: one sentence with a remedy each, status 2, no traceback."""
    path = notebook(learners_cells())
    broken = path.parent / "broken" / path.name
    broken.parent.mkdir()
    broken.write_text('{"cells": [')
    (course / "release" / "01-small").mkdir(parents=True)
    for arguments, here, sentence in [
        ([], course, "Name a notebook or an assignment"),
        (["01-small"], tmp_path, "course.yml: not found in"),
        (["01-smal", "--no-keep"], course, "Did you mean 01-small?"),
        ([path, "duoble", "--no-keep"], course, "Did you mean double?"),
        ([broken, "--no-keep"], course, "is no notebook: line 1 is not JSON"),
        ([path, "--course-dir", tmp_path / "nowhere"], course, "Name the folder of a course with --course-dir."),
    ]:
        done = run_check(*arguments, runtime=runtime_folder, here=here)
        assert (done.returncode, done.stdout) == (2, ""), done
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr


def test_refusals_of_the_server(course: Path, notebook: Write, runtime_folder: Path) -> None:
    """The warm server refuses in the same words and with the same status."""
    done = run_check(notebook(learners_cells()), "duoble", "--course-dir", course, runtime=runtime_folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Did you mean double?" in done.stderr


@pytest.mark.slow
def test_real_course(runtime_folder: Path, tmp_path: Path) -> None:
    """05-modules with the instructor's solution of one exercise: all points, and one server for both checks."""
    source = json.loads((ROOT / "source/05-modules/05-modules.ipynb").read_text())
    solution = next(cell for cell in source["cells"] if cell.get("id") == "count_parameters")
    released = json.loads((ROOT / "release/05-modules/05-modules.ipynb").read_text())
    for cell in released["cells"]:
        if cell["id"] == "count_parameters":
            cell["source"] = solution["source"]
    mine = tmp_path / "05-modules.ipynb"
    mine.write_text(json.dumps(released))
    pids = []
    for _ in range(2):
        done = run_check(mine, "count_parameters", "--sandbox", "none", runtime=runtime_folder, here=ROOT)
        assert done.returncode == 0, (done.stdout, done.stderr)
        assert "2 of 2 points" in done.stdout
        with Door() as door:
            line = door.connect(name_for(ROOT))
        assert line is not None
        with line:
            pids.append(line.peer()[0])
    assert pids[0] == pids[1]
    untouched = run_check("05-modules", "count_parameters", "--sandbox", "none", runtime=runtime_folder, here=ROOT)
    assert untouched.returncode == 1
    assert "Next: write count_parameters." in untouched.stdout

"""The course itself: the gate is green, what is committed as released is what the source gives, starters run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT
from torchdojo.course import load
from torchdojo.notebook import read

COURSE = load(ROOT)
NAMES = [assignment.name for assignment in COURSE.assignments]


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a Python module of the environment."""
    return subprocess.run([sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", NAMES)
def test_points_are_those_of_the_syllabus(name: str) -> None:
    """The cells of a notebook are worth what course.yml says."""
    assignment = COURSE.assignment(name)
    assert read(COURSE.source_notebook(assignment)).points == assignment.points


@pytest.mark.parametrize("name", NAMES)
def test_exercises_are_complete(name: str) -> None:
    """Each exercise has two other solutions, three misconceptions and three hints, or more."""
    for exercise in read(COURSE.source_notebook(COURSE.assignment(name))).exercises:
        assert len(exercise.solutions) >= 2, exercise.name
        assert len(exercise.misconceptions) >= 3, exercise.name
        assert len(exercise.hints) == 3, exercise.name


@pytest.mark.slow
@pytest.mark.timeout(2400)
@pytest.mark.parametrize("name", NAMES)
def test_gate_is_green(name: str) -> None:
    """Right solutions pass, starter and guesser earn nothing, each wrong idea is caught; also in another process."""
    done = run("torchdojo", "verify", name, "--seeds", "1", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def files_below(folder: Path) -> dict[Path, bytes]:
    """What lies there, but for folders such as JupyterLab leaves behind where a notebook was opened."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if ".ipynb_checkpoints" not in name.parts}


@pytest.mark.parametrize("name", NAMES)
def test_release_is_up_to_date(name: str, tmp_path: Path) -> None:
    """What is committed in release/ is what source/ gives, byte for byte."""
    for file in ("course.yml", "nbgrader_config.py"):
        shutil.copy(ROOT / file, tmp_path)
    shutil.copytree(ROOT / "source" / name, tmp_path / "source" / name)
    done = run("torchdojo", "release", name, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    new, committed = files_below(tmp_path / "release" / name), files_below(ROOT / "release" / name)
    assert new.keys() == committed.keys()
    assert new == committed, f"release/{name} is not what source/{name} gives. Type: torchdojo release {name}"


@pytest.mark.parametrize("name", NAMES)
def test_released_notebook_runs_before_anything_is_written(name: str, tmp_path: Path) -> None:
    """No cell of a released notebook raises, and each check says 'not attempted' for 0 points."""
    path = ROOT / "release" / name / f"{COURSE.assignment(name).notebook}.ipynb"
    node = nbformat.read(path, as_version=4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(node, kernel_name="python3", allow_errors=True, timeout=120, resources=resources).execute()
    errors = [
        (cell.id, output.ename, output.evalue)
        for cell in node.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "error" or (output.output_type == "stream" and output.name == "stderr")
    ]
    assert errors == []
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if meta.get("grade") and not meta.get("solution"):
            assert cell.outputs[-1].data["text/plain"] == "0.0", cell.id
            assert "not attempted yet" in cell.outputs[0].data["text/plain"], cell.id


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_source_notebook_passes_nbgrader_validate(name: str, tmp_path: Path) -> None:
    """`nbgrader validate` finds nothing wrong with the instructor's own notebook, variants left out."""
    from torchdojo.notebook import is_author_cell, read_node

    node = read_node(COURSE.source_notebook(COURSE.assignment(name)))
    node.cells = [cell for cell in node.cells if not is_author_cell(cell.source)]
    path = tmp_path / f"{name}.ipynb"
    nbformat.write(node, path)
    done = run("nbgrader", "validate", str(path))
    assert "Success! Your notebook passes all the tests." in done.stdout, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_released_notebook_fails_nbgrader_validate(name: str) -> None:
    """`nbgrader validate` on what a student gets names each exercise that is still to do."""
    path = ROOT / "release" / name / f"{COURSE.assignment(name).notebook}.ipynb"
    done = run("nbgrader", "validate", str(path))
    assert "VALIDATION FAILED" in done.stdout, done.stdout + done.stderr

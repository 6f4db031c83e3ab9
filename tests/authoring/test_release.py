"""Release: nothing hidden is left, the same bytes every time, nothing half-written."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from tests.conftest import ALTERNATIVE, SOLUTION, small_cells, write_notebook
from torchdojo.authoring.leaks import leaks
from torchdojo.authoring.release import release
from torchdojo.authoring.starter import starter
from torchdojo.course import load
from torchdojo.errors import AuthorError
from torchdojo.notebook import is_author_cell, read_node


def released_node(cells: list[Any]) -> Any:
    """What a right release of these cells looks like, by a second way than nbgrader's."""
    from types import SimpleNamespace

    kept = []
    for cell in cells:
        if cell.cell_type == "code" and is_author_cell(cell.source):
            continue
        copy = cell.copy()
        source = starter(cell.source) if "BEGIN SOLUTION" in cell.source else cell.source
        lines, hidden = [], False
        for line in source.splitlines():
            hidden = (hidden or "BEGIN HIDDEN" in line) and "END HIDDEN" not in line
            if not hidden and "END HIDDEN" not in line:
                lines.append(line)
        copy["source"] = "\n".join(lines)
        kept.append(copy)
    return SimpleNamespace(cells=kept)


def source_node(cells: list[Any]) -> Any:
    """A notebook of these cells."""
    from types import SimpleNamespace

    return SimpleNamespace(cells=cells)


def test_a_right_release_has_no_leak() -> None:
    """The small notebook, released, has nothing hidden left."""
    cells = small_cells()
    assert leaks(source_node(cells), released_node(cells)) == []


LEFT = {
    "a solution's line": "twice_of_what_was_given = x + x",
    "a hidden test's line": 'assert student.double("ab") == "abab"',
    "a misconception's line": "return x * 2 if isinstance(x, str) else abs(x) * 2",
    "a marker": "### BEGIN HIDDEN TESTS",
    "a magic": "%%misconception squares",
    "a header": "caught-by: test_of_three",
}


@pytest.mark.parametrize("what", LEFT)
@pytest.mark.parametrize("where", ["code", "markdown", "output", "metadata"])
def test_what_is_hidden_is_found_wherever_it_is(what: str, where: str) -> None:
    """A hidden line left in a cell's source, output or metadata is found and its cell named."""
    cells = small_cells()
    released = released_node(cells)
    line = LEFT[what]
    extra = (
        new_markdown_cell("Look:\n\n    " + line, id="extra") if where == "markdown" else new_code_cell("1", id="extra")
    )
    if where == "code":
        extra.source = f"if True:\n    {line}"
    elif where == "output":
        extra.outputs = [new_output("stream", text=line + "\n")]
    elif where == "metadata":
        extra.metadata["note"] = {"deep": [line]}
    released.cells.append(extra)
    if line.startswith(("%%", "caught-by")) and where in ("code", "markdown"):
        extra.source = line
    assert {leak.cell_id for leak in leaks(source_node(cells), released)} == {"extra"}


def test_solution_pasted_into_a_visible_cell_is_found() -> None:
    """A solution that the author also left in a cell that students get is a leak, though the source shows it."""
    cells = small_cells()
    cells.insert(
        2,
        new_code_cell(
            "def scratch(x):\n    twice_of_what_was_given = x + x\n    print(twice_of_what_was_given)", id="s"
        ),
    )
    assert [leak.cell_id for leak in leaks(source_node(cells), released_node(cells))] == ["s"]


def test_release_of_a_course(small_course: Path) -> None:
    """No solution, hidden test, misconception, hint or output; cell ids kept; the visible test stays."""
    folder = release(load(small_course), "01-small")
    node = read_node(folder / "01-small.ipynb")
    text = json.dumps(node)
    assert [cell.id for cell in node.cells] == ["title", "double", "test_double"]
    assert "raise NotImplementedError()" in node.cells[1].source
    assert "test_of_three" in node.cells[2].source
    assert "test_of_text" not in text
    assert "misconception" not in text


def test_same_bytes_every_time(small_course: Path) -> None:
    """Released twice, with nothing known of the first time, the bytes are the same; plain nbgrader gives them too."""
    course = load(small_course)
    path = release(course, "01-small") / "01-small.ipynb"
    first = hashlib.sha256(path.read_bytes()).hexdigest()
    (small_course / ".torchdojo" / "releases.json").unlink()
    release(course, "01-small")
    assert hashlib.sha256(path.read_bytes()).hexdigest() == first
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "01-small", "--force"]
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert hashlib.sha256(path.read_bytes()).hexdigest() == first


def test_unchanged_source_is_not_released_again(small_course: Path) -> None:
    """A second release of the same source touches nothing; a changed source is released."""
    course = load(small_course)
    path = release(course, "01-small") / "01-small.ipynb"
    before = path.stat().st_mtime_ns
    release(course, "01-small")
    assert path.stat().st_mtime_ns == before
    source = small_course / "source" / "01-small" / "01-small.ipynb"
    source.write_text(source.read_text().replace("# 1 · Doubling", "# 1 · Twice"))
    release(course, "01-small")
    assert "Twice" in path.read_text()


def _leak(cells: list[Any]) -> None:
    cells[0].source += "\n\n    twice_of_what_was_given = x + x\n    return twice_of_what_was_given"


def test_a_leak_is_refused_and_what_was_there_stays(small_course: Path, small_notebook: Callable[..., Path]) -> None:
    """With a hidden line left, release refuses, names the cell, and leaves the former release as it was."""
    course = load(small_course)
    path = release(course, "01-small") / "01-small.ipynb"
    before = path.read_bytes()
    small_notebook(_leak)
    with pytest.raises(AuthorError, match="cell 'title'"):
        release(course, "01-small")
    assert path.read_bytes() == before
    assert not list(small_course.glob(".release-*"))
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "01-small", "--force"]
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "cell 'title'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["01-smal"], "Did you mean 01-small?"),
        (["01-small", "--lang", "xx"], "languages has no 'xx'"),
    ],
)
def test_wrong_arguments(arguments: list[str], message: str, small_course: Path) -> None:
    """An assignment or language that does not exist: one message with the nearest, status 2, nothing written."""
    command = [sys.executable, "-m", "torchdojo", "release", *arguments]
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (small_course / "release").exists()


def test_not_json_source(small_course: Path) -> None:
    """A source that is not JSON: one message, status 2, nothing half-written."""
    write_notebook(small_course / "source" / "01-small" / "01-small.ipynb", small_cells())
    (small_course / "source" / "01-small" / "01-small.ipynb").write_text("{")
    command = [sys.executable, "-m", "torchdojo", "release", "01-small"]
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert (done.returncode, "is not JSON" in done.stderr) == (2, True)
    assert not (small_course / "release").exists()


def test_starter_is_nbgraders_stub() -> None:
    """A solution region becomes nbgrader's own stub, indented as the region was."""
    assert starter(SOLUTION).endswith("    # YOUR CODE HERE\n    raise NotImplementedError()")
    assert starter(ALTERNATIVE) == ALTERNATIVE

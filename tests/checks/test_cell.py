"""`check` at the end of a grade cell, in a real IPython shell and a real kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell
from nbclient import NotebookClient

SOLVED = "def double(x):\n    return x + x"


@pytest.fixture
def shell() -> Iterator[InteractiveShell]:
    """A plain IPython shell, as in a terminal."""
    InteractiveShell.clear_instance()
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


def test_returns_points_as_the_cells_value(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """The value of a grade cell is a plain float."""
    from tests.conftest import TESTS

    shell.run_cell(SOLVED)
    result = shell.run_cell(TESTS).result
    assert type(result) is float
    assert result == 3.0
    assert "All 3 tests passed" in capsys.readouterr().out


def test_table_in_a_terminal_script(tmp_path: Path) -> None:
    """In a plain Python file the table is text on stdout."""
    import subprocess
    import sys

    file = tmp_path / "exercise.py"
    file.write_text(
        SOLVED.replace("x + x", "x * x") + "\n\nimport pytest\nfrom torchdojo import check\n"
        "def test_of_one(student):\n    '''Twice 1 is 2.'''\n    assert student.double(1) == 2\n"
        "check(points=1)\n"
    )
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True)
    assert "Twice 1 is 2.  [not yet right]" in done.stdout
    assert done.stderr == ""


def test_outputs_in_a_real_kernel(tmp_path: Path, small_notebook: Callable[..., Path]) -> None:
    """In a kernel: one display with HTML and text, one execute_result with the float, no stream at all."""

    def wrong(cells: list[Any]) -> None:
        cells[2].source = "import warnings\ndef double(x):\n    warnings.warn('hm')\n    return x * x"

    node = nbformat.read(small_notebook(wrong), as_version=4)
    node.cells = node.cells[2:4]
    NotebookClient(node, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = node.cells[1].outputs
    assert [o.output_type for o in outputs] == ["display_data", "execute_result"]
    assert set(outputs[0].data) == {"text/html", "text/plain"}
    assert outputs[1].data["text/plain"] == "0.0"
    assert "not yet right" in outputs[0].data["text/html"]

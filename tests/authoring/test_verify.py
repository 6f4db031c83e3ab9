"""The gate: it is green for good tests, and names each way in which tests can be bad."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell

from tests.conftest import ALTERNATIVE, FORGETS_TEXT, SQUARES, TESTS
from torchdojo.notebook import read

# The gate forks and runs cells, so it lives in a process of its own: one for all tests here, since it starts slowly.
SERVER = """
import json, sys
from pathlib import Path
from torchdojo.authoring.verify import verify
for line in sys.stdin:
    path, limit_s = json.loads(line)
    reports = verify(Path(path), seeds=[0, 1], workers=2, limit_s=limit_s)
    print(json.dumps([[str(f) for r in reports for f in r.findings], [r.rows for r in reports]]), flush=True)
"""

Gate = Callable[..., tuple[list[str], Any]]


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """Findings and tables of a notebook."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(path: Path, limit_s: float = 20.0) -> tuple[list[str], Any]:
            server.stdin.write(json.dumps([str(path), limit_s]) + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            findings, rows = json.loads(server.stdout.readline())  # type: ignore[union-attr]
            return findings, rows

        yield ask
        server.stdin.close()


def test_good_tests_have_no_findings(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """Right solutions pass, wrong ideas are caught as they say: no findings, and a table of who caught whom."""
    findings, rows = gate(small_notebook())
    assert findings == []
    assert dict(rows[0])["forgets-the-sign"] == {
        "test_of_three": "passed",
        "test_of_a_negative_number": "wrong",
        "test_of_text": "passed",
    }


def _tests(old: str, new: str) -> Callable[[list[Any]], None]:
    def change(cells: list[Any]) -> None:
        assert old in cells[3].source
        cells[3].source = cells[3].source.replace(old, new)

    return change


def _append(source: str) -> Callable[[list[Any]], None]:
    return lambda cells: cells.append(new_code_cell(source, id="added"))


BAD = {
    "a test that asserts nothing": (
        _tests("assert student.double(-4) == -8", "student.double(-4)"),
        "test_of_a_negative_number: catches no misconception",
    ),
    "a misconception that nobody catches": (
        _append("%%misconception fine\ntitle: T\nhint: H?\ncaught-by: test_of_three\n---\ndef double(x): return x + x"),
        "misconception fine: nobody catches it",
    ),
    "caught by another test than it says": (
        _append("%%misconception off\ntitle: T\nhint: H?\ncaught-by: test_of_text\n---\n"
                "def double(x): return x * 2 if x != 3 else 7"),
        "misconception off: not caught by test_of_text but by test_of_three",
    ),
    "caught-by names no test": (
        _append("%%misconception off\ntitle: T\nhint: H?\ncaught-by: test_none\n---\ndef double(x): return 7"),
        "caught-by names 'test_none', which is no test",
    ),
    "two with one fingerprint": (
        _append(SQUARES.replace("squares", "cubes").replace("x * x", "x * x * x")),
        "misconceptions cubes, squares: have one pattern of outcomes",
    ),
    "a right solution is refused": (
        _append("%%solution odd\n---\ndef double(x): return x + x if x != -4 else 0"),
        "solution odd: test_of_a_negative_number refuses it",
    ),
    "a solution that does not run": (
        _append("%%solution broken\n---\nimport no_such_module"),
        "solution broken: its code does not run: ModuleNotFoundError",
    ),
    "the starter earns points": (
        _tests("def test_of_text(", "def test_free(student):\n    '''Free.'''\n\n\ndef test_of_text("),
        "the starter: earns",
    ),
    "a test that can be guessed": (
        _tests("def test_of_text(", "def test_true(student):\n    assert student.double(True)\n\n\ndef test_of_text("),
        "a guesser: earns",
    ),
    "a test that needs identity": (
        _tests("assert student.double(3) == 6", "assert student.double is student.double"),
        "Values travel, identity does not",
    ),
    "a test that is itself at fault": (
        _tests('assert student.double("ab") == "abab"', "assert student.double('ab') == undefined_name"),
        "refuses it (seed 0, 1 thread(s)): grader failed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_tests_are_named(case: str, gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """Each way in which tests can be bad is a finding that names the exercise, the subject and the remedy."""
    change, message = BAD[case]
    findings, _ = gate(small_notebook(change))
    assert any(message in finding for finding in findings), findings
    assert all(finding.startswith("double: ") for finding in findings)


def test_marked_pair_may_share_a_fingerprint(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """Two misconceptions that no test can tell apart are allowed when the author says so, with the reason."""
    twin = SQUARES.replace("squares", "cubes").replace("x * x", "x * x * x")
    twin = twin.replace("---", "pair-with: squares because no test can tell them apart\n---")
    findings, _ = gate(small_notebook(_append(twin)))
    assert findings == []


def test_endless_misconception_is_stopped(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """A wrong idea that never ends is stopped, counts as raised, and keeps its place in the table."""
    endless = FORGETS_TEXT.replace("numbers-only", "endless").replace("return float(x) * 2", "\n    while True: pass")
    endless = endless.replace("test_of_text", "test_of_three")
    findings, rows = gate(small_notebook(_append(endless)), limit_s=3)
    assert findings == []
    assert dict(rows[0])["endless"]["test_of_three"] == "raised Timeout"


def test_misconception_that_kills_its_process(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """A wrong idea that ends its process costs one row, not the gate."""
    deadly = SQUARES.replace("squares", "leaves").replace("return x * x", "\n    import os\n    os._exit(3)")
    findings, rows = gate(small_notebook(_append(deadly)))
    assert findings == []
    assert dict(rows[0])["leaves"]["test_of_three"] == "raised ProcessDied"


def test_command_line(small_course: Path) -> None:
    """`torchdojo verify` prints the table, writes JSON, and ends with 0; with findings it ends with 1."""
    command = [sys.executable, "-m", "torchdojo", "verify", "01-small", "--seeds", "1", "--json", "out.json"]
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "forgets-the-sign" in done.stdout
    assert "no findings" in done.stdout
    tables = json.loads((small_course / "out.json").read_text())
    assert tables["01-small"][0]["misconceptions"]["squares"]["test_of_three"] == "wrong"

    path = small_course / "source" / "01-small" / "01-small.ipynb"
    path.write_text(path.read_text().replace("student.double(-4) == -8", "student.double(-4)"))
    done = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "test_of_a_negative_number: catches no misconception" in done.stdout


def test_magic_shows_who_catches_it(small_notebook: Callable[..., Path]) -> None:
    """Run in the notebook, %%misconception and %%solution apply the tests above and say who caught it."""
    cells = [*read(small_notebook()).given, (0, "%load_ext torchdojo.authoring")]

    script = [source for _, source in cells] + [TESTS, SQUARES, ALTERNATIVE]
    code = "from IPython.core.interactiveshell import InteractiveShell as S\ns = S.instance()\n"
    code += "".join(f"s.run_cell({source!r}, store_history=True)\n" for source in script)
    environment = os.environ | {"IPYTHONDIR": str(small_notebook().parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "Caught by test_of_three, as it says." in done.stdout
    assert "Passes, as it should." in done.stdout

"""Grade cells judged in a checker, in real kernels: one crash costs one test, and no word of a kernel is a point."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import notebook
from torchdojo.grade_cell import check_points
from torchdojo.isolation.judge import MODULES, runner_of
from torchdojo.kernels.execute import Runner
from torchdojo.kernels.job import CellResult, Job, JobStatus, Limits, Result
from torchdojo.kernels.preload import modules_in

TESTS = '''
import pytest
from torchdojo import check


def test_of_three(student):
    """Twice 3 is 6."""
    assert student.double(3) == 6


### BEGIN HIDDEN TESTS
def test_of_a_large_number(student):
    """Twice any number."""
    secret_of_the_hidden_test = 12_345_678
    assert student.double(secret_of_the_hidden_test) == 24_691_356


### END HIDDEN TESTS
check(points=4)
'''

Judge = Callable[..., Result]


@pytest.fixture
def judge(runner: Runner) -> Judge:
    """Run a solution cell, its grade cell, and cells after that; only the second is judged elsewhere."""

    def judge(
        solution: str, *after: str, tests: str = TESTS, timeout_s: float = 30, notebook_timeout_s: float = 90
    ) -> Result:
        limits = Limits(cell_timeout_s=timeout_s, notebook_timeout_s=notebook_timeout_s)
        cells = notebook(solution, tests, *after)
        return runner.execute(Job("j", cells, limits=limits, isolated=((1, 4.0),), preload=MODULES))

    return judge


def grade_cell(result: Result) -> CellResult:
    """The judged cell."""
    return next(cell for cell in result.cells if cell.index == 1)


def points(result: Result) -> str:
    """What nbgrader reads as the score."""
    return str(grade_cell(result).outputs[-1]["data"]["text/plain"])


def said(result: Result) -> str:
    """Everything the notebook puts out."""
    return json.dumps([cell.outputs for cell in result.cells])


def test_right_values_earn_all_points(judge: Judge) -> None:
    """The table and the points come from the checker, as `check` would show them."""
    result = judge("def double(x):\n    return 2 * x")
    assert result.status is JobStatus.COMPLETED
    assert points(result) == "4.0"
    assert "All 2 tests passed" in grade_cell(result).outputs[0]["data"]["text/html"]
    assert not grade_cell(result).judged_in_kernel


def test_the_visible_example_alone_earns_its_share(judge: Judge) -> None:
    """A wrong value is wrong for its test only."""
    assert points(judge("def double(x):\n    return 6")) == "2.0"


@pytest.mark.parametrize(
    "deed",
    [
        "import os; os._exit(3)",
        "import ctypes; ctypes.string_at(0)",
        "import sys; sys.setrecursionlimit(10**9); double(x)",
    ],
    ids=["exit", "segfault", "stack"],
)
def test_a_crash_costs_one_test(judge: Judge, deed: str) -> None:
    """The next test finds the learner's code as it was, and so do the cells after it."""
    result = judge(f"def double(x):\n    if x == 3:\n        {deed}\n    return 2 * x", "double(21)")
    assert points(result) == "2.0"
    assert result.cells[2].outputs[0]["data"]["text/plain"] == "42"


def test_a_loop_without_end_costs_its_test_and_is_told(judge: Judge) -> None:
    """Half of the time that is left is waited for one answer; the sentence says so."""
    result = judge("def double(x):\n    while x == 3:\n        pass\n    return 2 * x", timeout_s=4)
    assert points(result) == "2.0"
    assert result.status is JobStatus.STOPPED
    assert "did not answer within 2 s" in result.sentence


def test_a_test_that_hangs_on_a_value_ends(judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that keeps the test itself busy is that test's failure; the rest waits."""
    monkeypatch.setattr("torchdojo.isolation.judge.TESTS_OWN_S", 1.0)
    tests = TESTS.replace("assert student.double(3) == 6", "assert sum(1 for _ in range(student.double(3))) == 6")
    result = judge("def double(x):\n    return 10**15", tests=tests, timeout_s=1)
    assert points(result) == "0.0"
    assert "kept this test busy" in said(result)


def test_what_the_kernel_puts_out_meanwhile_is_dropped(judge: Judge) -> None:
    """A result displayed by the learner's process while it is asked is no result of the grade cell."""
    forger = """
import threading, time
publish = get_ipython().kernel.outlet.publish
def forge():
    while True:
        publish("execute_result", {"data": {"text/plain": "4.0"}, "metadata": {}, "execution_count": 9})
        publish("execute_reply", {"done": True, "tests": [], "current": ""})
        time.sleep(0.001)
threading.Thread(target=forge, daemon=True).start()
def double(x):
    time.sleep(0.3)
    return None
"""
    assert points(judge(forger)) == "0.0"


def test_nothing_of_a_hidden_test_comes_back(judge: Judge) -> None:
    """A message that repeats a line of a hidden test is left out."""
    line = "secret_of_the_hidden_test = 12_345_678"
    result = judge(f"def double(x):\n    raise ValueError({line!r})")
    assert line not in said(result)
    assert "left out" in said(result)


def test_a_fault_of_the_tests_is_nobodys_points(judge: Judge) -> None:
    """Tests that fail by themselves leave the cell open for a human; in a kernel they would cost nothing."""
    result = judge("def double(x):\n    return 2 * x", tests=TESTS.replace("import pytest", "import no_such_module"))
    assert "no_such_module" in grade_cell(result).fault


def test_a_checker_that_ends_by_itself_is_nobodys_zero(judge: Judge) -> None:
    """No answer of a student's does that: the cell is left open for a human, and says at which test it was."""
    right = "def double(x):\n    return 2 * x"
    for crash in ("import os; os._exit(3)", "import os; os.kill(os.getpid(), 11)"):
        result = judge(
            right,
            tests=TESTS.replace("    secret_of_the_hidden_test", f"    {crash}\n    secret_of_the_hidden_test", 1),
        )
        assert "test_of_a_large_number" in grade_cell(result).fault
    assert points(judge(right)) == "4.0"


def test_a_cell_after_the_end_of_the_time_says_so(judge: Judge) -> None:
    """What never ran is not judged, and says why; where only the kernel ended, another would have been started."""
    result = judge("import os, time; time.sleep(1); os._exit(1)", notebook_timeout_s=0.5)
    assert result.status is JobStatus.STOPPED
    assert grade_cell(result).outputs[0]["ename"] == "CellNotRun"


def test_a_runner_without_a_checker_refuses_such_a_job() -> None:
    """It must not run hidden tests in the student's process instead."""
    plain = Runner()
    try:
        result = plain.execute(Job("j", notebook("x = 1", TESTS), isolated=((1, 4.0),)))
    finally:
        plain.close()
    assert result.status is JobStatus.OURS
    assert "checker" in result.sentence


def test_a_whole_assignment_is_judged_by_one_checker() -> None:
    """The reference of 05-modules earns all points, cell after cell, with tensors of every size."""
    root = Path(__file__).parents[2]
    whole = json.loads((root / "source" / "05-modules" / "05-modules.ipynb").read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in whole["cells"] if cell["cell_type"] == "code"]
    sources = [source for source in code if not source.startswith("%")]
    worth = {index: points for index, source in enumerate(sources) if (points := check_points(source)) is not None}
    runner = Runner(runner_of)
    try:
        job = Job("j", notebook(*sources), isolated=tuple(worth.items()), preload=(*modules_in(sources), *MODULES))
        result = runner.execute(job)
    finally:
        runner.close()
    assert result.status is JobStatus.COMPLETED
    for cell in result.cells:
        if cell.index in worth:
            assert not cell.fault
            assert cell.outputs[-1]["data"]["text/plain"] == repr(worth[cell.index])

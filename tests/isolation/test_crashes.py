"""A student's process that dies or hangs, in real kernels: one crash costs one test, and the rest of the work earns."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import notebook
from torchdojo.isolation.judge import MODULES
from torchdojo.kernels.execute import Runner, Session
from torchdojo.kernels.job import CellResult, Job, JobStatus, Limits, Result
from torchdojo.kernels.lines import KernelNotStarted

PREPARES = "two = 2\nfours = []\n"
HALVE = "fours.append(4)\ndef halve(x):\n    return x / two"

TESTS_OF_DOUBLE = '''
def test_of_three(student):
    """Twice 3 is 6."""
    assert student.double(3) == 6


def test_of_five(student):
    """Twice 5 is 10."""
    assert student.double(5) == 10


def test_of_seven(student):
    """Twice 7 is 14."""
    assert student.double(7) == 14


check(points=3)
'''

TESTS_OF_HALVE = '''
def test_of_eight(student):
    """Half of 8 is 4."""
    assert student.halve(8) == student.fours[0]


def test_that_cells_ran_once(student):
    """A cell that is run again starts from nothing."""
    assert student.fours == [4]


check(points=2)
'''

# What ends, stops or silences the process that is asked, or the one that it is forked from.
DEEDS = {
    "exit": "os._exit(1)",
    "killed": "os.kill(os.getpid(), signal.SIGKILL)",
    "stopped": "os.kill(os.getpid(), signal.SIGSTOP)",
    "segfault": "ctypes.string_at(0)",
    "abort": "ctypes.CDLL(None).abort()",
    "loop in C": "sum(itertools.repeat(0))",
    "interrupts its parent": "os.kill(os.getppid(), signal.SIGINT); time.sleep(0.2); os._exit(1)",
    "kills its group": "os.killpg(0, signal.SIGKILL); os._exit(1)",
    "kills its parent": "os.kill(os.getppid(), signal.SIGKILL); os._exit(1)",
    "stops its parent": "os.kill(os.getppid(), signal.SIGSTOP); os._exit(1)",
    "takes memory": "held = [bytearray(b'x') * (300 << 20) for _ in range(8)]; time.sleep(60)",
    "takes memory in children": "[os.fork() or take() for _ in range(4)]; time.sleep(60)",
    "forks": "[os.fork() or time.sleep(60) for _ in range(60)]; time.sleep(60)",
    "shuts every socket": "shut()",
}

DOUBLE = """
import ctypes, itertools, os, signal, socket, time

def take():
    held = bytearray(b'x') * (400 << 20)
    time.sleep(60)

def shut():
    for number in range(3, 300):
        try:
            socket.socket(fileno=number).shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
    os._exit(1)

def double(x):
    if x == 3:
        {deed}
    return two * x
"""

Grade = Callable[..., Result]


@pytest.fixture
def grade(runner: Runner) -> Grade:
    """Run a notebook of two exercises, whose second uses what cells before the first made."""

    def grade(double: str, *, sandbox: str = "none", limits: Limits | None = None, halve: str = HALVE) -> Result:
        limits = limits or Limits(cell_timeout_s=4, notebook_timeout_s=120, memory_mib=1000, disk_mib=64, processes=40)
        cells = notebook(PREPARES, double, TESTS_OF_DOUBLE, halve, TESTS_OF_HALVE, "halve(two)")
        isolated = ((2, 3.0), (4, 2.0))
        return runner.execute(Job("j", cells, limits=limits, isolated=isolated, preload=MODULES, sandbox=sandbox))

    return grade


def cell(result: Result, index: int) -> CellResult:
    """The result of the cell at that position."""
    return next(each for each in result.cells if each.index == index)


def points(result: Result) -> tuple[str, str]:
    """Of the two grade cells."""
    first, second = (cell(result, index).outputs[-1] for index in (2, 4))
    return first.get("data", {}).get("text/plain", first), second.get("data", {}).get("text/plain", second)


@pytest.mark.parametrize("sandbox", ["none", "full"])
@pytest.mark.parametrize("deed", DEEDS)
def test_a_crash_in_a_test_costs_that_test(grade: Grade, deed: str, sandbox: str) -> None:
    """The tests after it find the learner's code as it was, and so do the exercises and cells after that."""
    result = grade(DOUBLE.format(deed=DEEDS[deed]), sandbox=sandbox)
    assert points(result) == ("2.0", "2.0")
    assert cell(result, 5).outputs[0]["data"]["text/plain"] == "1.0"


@pytest.mark.parametrize("sandbox", ["none", "full"])
@pytest.mark.parametrize("deed", ["exit", "segfault", "takes memory in children"])
def test_a_crash_in_a_cell_costs_that_cell(grade: Grade, deed: str, sandbox: str) -> None:
    """The cells before it are run again, and those after it go on from there; the end is told."""
    limits = Limits(cell_timeout_s=50, notebook_timeout_s=120, memory_mib=1000)
    result = grade(DOUBLE.format(deed=DEEDS[deed]) + "\ndouble(3)", sandbox=sandbox, limits=limits)
    assert points(result) == ("0.0", "2.0")
    assert result.status is (JobStatus.STOPPED if "memory" in deed else JobStatus.DIED)
    assert "not run" not in json.dumps([each.outputs for each in result.cells])


def test_a_cell_that_ends_the_kernel_as_it_is_run_again(grade: Grade) -> None:
    """A cell may run once and end the kernel the second time; then it is left out, and the rest goes on."""
    once = "import os\nif os.path.exists('ran'):\n    os._exit(1)\nopen('ran', 'w').close()\n"
    result = grade(DOUBLE.format(deed="os.kill(os.getppid(), 9); os._exit(1)") + once)
    assert points(result) == ("0.0", "2.0")


def test_all_of_it_within_the_notebooks_time(grade: Grade) -> None:
    """Cells are run again as long as the notebook has time, and then what is left is not run, and says so."""
    slow = "import time; time.sleep(1.5)\n"
    limits = Limits(cell_timeout_s=4, notebook_timeout_s=2.5)
    result = grade(slow + DOUBLE.format(deed="os.kill(os.getppid(), 9); os._exit(1)"), limits=limits)
    assert result.seconds < 5
    assert cell(result, 2).outputs[-1]["data"]["text/plain"] == "0.0"
    assert cell(result, 4).outputs[0]["ename"] == "CellNotRun"
    assert result.status is JobStatus.DIED


def test_a_kernel_that_cannot_be_started_again(grade: Grade, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried once, and is no fault of the grader's: the points earned before stand."""

    def fail(_: Session) -> None:
        raise KernelNotStarted("its folder is a file")

    monkeypatch.setattr(Session, "restart_kernel", fail)
    deed = "os.kill(os.getppid(), 9); os._exit(1)"
    result = grade(DOUBLE.format(deed=deed).replace("x == 3", "x == 5"))
    assert cell(result, 2).outputs[-1]["data"]["text/plain"] == "1.0"
    assert result.status is JobStatus.DIED
    assert "could not be started again" in result.sentence


def test_without_isolation_a_kernel_ends_the_notebook(runner: Runner) -> None:
    """A notebook whose cells are all its kernel's is run as nbgrader runs it."""
    result = runner.execute(Job("j", notebook("import os; os._exit(1)", "1"), preload=MODULES))
    assert cell(result, 1).outputs[0]["ename"] == "CellNotRun"

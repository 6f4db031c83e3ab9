"""A job's cells go where `runner_of` sends them: the seam that a checker uses."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from conftest import notebook, text

from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.drive import attend
from torchdojo.kernels.execute import CellRunner, Runner, Session, run_in_kernel
from torchdojo.kernels.job import CellResult, Job, JobStatus, Limits, Result


def in_kernel_unless(word: str, other: CellRunner) -> object:
    """A `runner_of` that gives cells with a word to another runner."""
    return lambda session, cell: other if word in cell.source else run_in_kernel


def execute(runner_of: object, *sources: str, files: tuple[tuple[str, bytes], ...] = ()) -> Result:
    """One job in a runner of its own."""
    runner = Runner(runner_of)  # type: ignore[arg-type]
    try:
        return runner.execute(Job("j", notebook(*sources), files))
    finally:
        runner.close()


def test_a_cell_can_be_judged_elsewhere() -> None:
    """What another runner returns stands, and the kernel never sees the cell."""

    def judge(session: Session, cell: CodeCell) -> CellResult:
        output = {"output_type": "stream", "name": "stdout", "text": "judged"}
        return CellResult(cell.index, outputs=(output,), execution_count=None, judged_in_kernel=False)

    result = execute(in_kernel_unless("check(", judge), "x = 1", "check(points=1)", "x, len(In)")
    assert text(result, 1) == "judged"
    assert text(result, 2) == "(1, 3)"
    assert [cell.judged_in_kernel for cell in result.cells] == [True, False, True]


def test_a_kernel_can_be_started_again() -> None:
    """A runner of cells may replace a kernel that died; what it starts has run nothing."""

    def again(session: Session, cell: CodeCell) -> CellResult:
        session.restart_kernel()
        return run_in_kernel(session, CodeCell(cell.index, "'x' in globals()", {}))

    result = execute(in_kernel_unless("again", again), "x = 1\nimport os; os._exit(1)", "again", "1")
    assert [text(result, index) for index in (1, 2)] == ["False", "1"]
    assert result.cpu_s > 0


def test_a_kernel_can_call_a_function_of_ours() -> None:
    """A command with a function's name runs it in the kernel, with descriptors, under the same limits as a cell."""

    def call(session: Session, cell: CodeCell) -> CellResult:
        read, write = os.pipe()
        os.set_blocking(read, False)
        command = {"do": "call", "function": "teller:tell", "arguments": {"name": "x"}}
        turn = session.kernel.start_turn(cell.index, command, session.until_s, [write])
        os.close(write)
        while not turn.done:
            attend([session.kernel])
        data = os.read(read, 100)
        os.close(read)
        output = {"output_type": "stream", "name": "stdout", "text": data.decode()}
        return CellResult(cell.index, outputs=(output,), judged_in_kernel=False)

    teller = (
        b"import os\ndef tell(shell, descriptors, name):\n    os.write(descriptors[0], b'%d' % shell.user_ns[name])"
    )
    result = execute(in_kernel_unless("tell", call), "x = 41", "tell", files=(("teller.py", teller),))
    assert text(result, 1) == "41"


def test_an_error_of_ours_in_the_kernel_is_shown() -> None:
    """A function that fails in the kernel ends the turn, with its error among the outputs."""

    def call(session: Session, cell: CodeCell) -> CellResult:
        command = {"do": "call", "function": "no_such_module:f", "arguments": {}}
        turn = session.kernel.start_turn(cell.index, command, session.until_s)
        while not turn.done:
            attend([session.kernel])
        return CellResult(cell.index)

    assert "ModuleNotFoundError" in text(execute(in_kernel_unless("call", call), "call"), 0)


def test_two_kernels_are_attended_at_once(tmp_path: Path) -> None:
    """A kernel that waits does not keep the other's messages waiting: both end in the time of one."""
    from torchdojo.kernels.birth import Birth
    from torchdojo.kernels.drive import Kernel
    from torchdojo.kernels.outputs import NotebookOutputs
    from torchdojo.kernels.sandbox import SandboxSpec
    from torchdojo.kernels.warm import Zygote

    stem = Zygote.start()
    zygotes = [stem.branch(), stem.branch()]
    birth = Birth(SandboxSpec(folder=str(tmp_path), level="none").to_plain())
    kernels = [Kernel(zygote, birth, Limits(), NotebookOutputs()) for zygote in zygotes]
    start = time.monotonic()
    command = {"do": "cell", "code": "import time; time.sleep(4); print('slept')"}
    turns = [kernel.start_turn(0, command, start + 60) for kernel in kernels]
    while not all(turn.done for turn in turns):
        attend(kernels)
    assert time.monotonic() - start < 8  # one after the other it is more
    assert [kernel.outputs.cells[0][0]["text"] for kernel in kernels] == ["slept\n"] * 2
    for kernel, zygote in zip(kernels, zygotes, strict=True):
        kernel.close()
        zygote.end()
        zygote.close()
    stem.close()


def test_a_runner_that_fails_is_ours() -> None:
    """An error in a runner of cells is a Result with status ours, and the next job is not touched by it."""

    def broken(session: Session, cell: CodeCell) -> CellResult:
        raise KeyError("oops")

    runner = Runner(lambda session, cell: broken if "bad" in cell.source else run_in_kernel)
    bad = runner.execute(Job("bad", notebook("1", "bad")))
    assert bad.status is JobStatus.OURS
    assert "KeyError" in bad.sentence
    assert text(runner.execute(Job("good", notebook("1 + 1"))), 0) == "2"
    runner.close()


@pytest.mark.parametrize("level", ["partial", "nonsense"])
def test_a_sandbox_that_cannot_be_made_is_ours(level: str) -> None:
    """Where the sandbox cannot be entered nothing runs, and the sentence says so; partial works wherever it can."""
    runner = Runner()
    result = runner.execute(Job("j", notebook("1 + 1"), sandbox=level))
    runner.close()
    if result.status is JobStatus.COMPLETED:
        assert level == "partial"
        assert text(result, 0) == "2"
    else:
        assert result.status is JobStatus.OURS
        assert "sandbox" in result.sentence

"""Another kernel in the place of a student's that ended, with what ran in that: so that a crash costs what crashed."""

from __future__ import annotations

import time

from torchdojo.errors import OursError
from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.drive import attend
from torchdojo.kernels.execute import Session, run_in_kernel
from torchdojo.kernels.job import CellResult
from torchdojo.kernels.lines import KernelNotStarted
from torchdojo.kernels.outputs import NotebookOutputs


def run_on(session: Session, cell: CodeCell) -> CellResult:
    """Run a cell in the student's kernel; if that has ended, in another one, as if what ended it had not been there.

    Raises:
        ZygoteDied
    """
    if session.kernel.gone:
        revive(session)
    return run_in_kernel(session, cell)


def revive(session: Session) -> bool:
    """Start the student's kernel again, and run in it what ran in the one before; say whether there is one now.

    A cell that ended a kernel is not run again. All happens within the time that the notebook has; what the cells put
    out is dropped, it was shown the first time. After a failure there is none for the rest of the notebook.

    Raises:
        ZygoteDied
    """
    ran = session.ran
    while not session.over and time.monotonic() < session.until_s:
        try:
            session.restart_kernel()
        except (KernelNotStarted, OursError) as error:  # it did once: the student's code is in the way
            session.over, session.why_gone = True, f"The kernel ended, and could not be started again: {error}"
        else:
            ended = _run_again(session, ran)
            if ended is None:
                return True
            ran = [cell for cell in ran if cell is not ended]
    session.over = True
    session.why_gone = session.why_gone or "The kernel ended, and the notebook's time was over before it ran again."
    return False


def _run_again(session: Session, cells: list[CodeCell]) -> CodeCell | None:
    """Run cells in a new kernel, unseen. Returns the one that ended it, or at which the notebook's time was over."""
    kernel = session.kernel
    shown, kernel.outputs = kernel.outputs, NotebookOutputs()
    for cell in cells:
        turn = kernel.start_turn(cell.index, {"do": "cell", "code": cell.source}, session.until_s)
        while not turn.done:
            attend([kernel])
        if kernel.gone or time.monotonic() > session.until_s:
            return cell
    kernel.outputs = shown
    session.ran = list(cells)
    return None

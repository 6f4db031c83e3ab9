"""A result's outputs onto the prepared notebook, and nothing else of it: its source and metadata are not believed."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Any

from nbformat import from_dict

from torchdojo.grade_cell import check_points
from torchdojo.grading.inert import inert
from torchdojo.grading.status import SlowCell
from torchdojo.kernels.job import CellResult, Result

# As a Python kernel says of itself: nbgrader saves it with every notebook that it ran.
_LANGUAGE = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
    "version": platform.python_version(),
}

NOT_RUN = "CellNotRun"  # the name of the error that a runner puts out for a cell after the end of a kernel
_NO_OUTPUT = {
    "output_type": "error",
    "ename": NOT_RUN,
    "evalue": "This cell did not run.",
    "traceback": ["This cell did not run."],
}


@dataclass(slots=True)
class Grafted:
    """What the outputs say beside themselves. Cells are named by grade id, or by position such as "cell 7"."""

    not_run: list[str] = field(default_factory=list)  # grade ids of graded code cells that never ran
    stopped: list[str] = field(default_factory=list)  # sentences of the limits that stopped cells
    judged_in_kernel: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)  # grade id: why no checker could judge it
    slowest: SlowCell | None = None


def graft(node: Any, result: Result) -> Grafted:
    """Lay the outputs of `result` on the cells of `node`, in place."""
    grafted = Grafted()
    came = {cell.index: cell for cell in result.cells}
    node.metadata["language_info"] = from_dict(_LANGUAGE)
    node.metadata.pop("widgets", None)  # nor is the result's put there: a page makes scripts of a widget's state
    for index, cell in enumerate(node.cells):
        if cell.cell_type == "code" and (index in came or _should_have_run(cell)):
            _graft_cell(cell, index, came.get(index), grafted)
        else:
            _keep(cell)
    return grafted


def keep(node: Any) -> None:
    """Where nothing ran: leave the outputs that a student sent, made inert, in place."""
    node.metadata.pop("widgets", None)
    for cell in node.cells:
        _keep(cell)


def _keep(cell: Any) -> None:
    if cell.get("outputs"):
        cell.outputs = from_dict(inert(cell.outputs))


def _graft_cell(cell: Any, index: int, came: CellResult | None, grafted: Grafted) -> None:
    meta = cell.metadata.get("nbgrader") or {}
    name = meta.get("grade_id") or f"cell {index + 1}"
    graded = _is_test(cell)
    if came is None:  # said aloud, for nbgrader gives full marks to a cell without output
        cell.outputs, cell.execution_count = [from_dict(_NO_OUTPUT)], None
    else:
        outputs = inert(came.outputs) if came.judged_in_kernel else came.outputs  # the others are our own
        cell.outputs, cell.execution_count = from_dict(list(outputs)), came.execution_count
    if not graded:
        pass
    elif any(output.get("ename") == NOT_RUN for output in cell.outputs):
        grafted.not_run.append(name)
    elif check_points(cell.source) is not None:
        _stderr_costs_nothing(cell)
    if came is None:
        return
    if came.fault:
        grafted.faults[name] = came.fault
    if graded and came.judged_in_kernel:
        grafted.judged_in_kernel.append(name)
    if came.stop is not None:
        grafted.stopped.append(f"{name}: {came.stop.sentence}")
    if grafted.slowest is None or came.seconds > grafted.slowest.seconds:
        grafted.slowest = SlowCell(name, round(came.seconds, 3))


def _is_test(cell: Any) -> bool:
    meta = cell.metadata.get("nbgrader") or {}
    return bool(meta.get("grade") and not meta.get("solution"))


def _should_have_run(cell: Any) -> bool:
    """Empty cells and those tagged so are left out by runners, as by nbclient; a test is not left out at all."""
    return bool(cell.source.strip()) and (_is_test(cell) or "skip-execution" not in cell.metadata.get("tags", []))


def _stderr_costs_nothing(cell: Any) -> None:
    """nbgrader gives 0 to a grade cell with anything on stderr, also a warning of the student's code."""
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stderr":
            output.name = "stdout"

"""A forked kernel puts out what a real one does, driven by nbgrader's Execute (nbclient) over sockets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import notebook
from nbgrader.preprocessors import Execute

from torchdojo.kernels.job import Result

_PARTS = re.split(r"^# %% (.*)\n", Path(__file__).with_name("fidelity_cells.txt").read_text(), flags=re.MULTILINE)
CELLS = dict(zip(_PARTS[1::2], (part.rstrip() for part in _PARTS[2::2]), strict=True))

_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_FILE = re.compile(r"/[^\s:'\"]*?/ipykernel_\d+/\d+\.py|ipykernel_\d+/\d+\.py")
_MODEL = re.compile(r"[0-9a-f]{32}")
_NATIVE_PATH = re.compile(r"File .*?(?=/lib/python)")


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        for pattern, name in ((_ADDRESS, "0x"), (_FILE, "CELL"), (_MODEL, "MODEL"), (_NATIVE_PATH, "File ")):
            value = pattern.sub(name, value)
        return value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _merged(outputs: Any) -> list[Any]:
    """Outputs with the pieces of a stream put together: where a real kernel cuts them is a matter of time."""
    merged: list[Any] = []
    for output in map(dict, outputs):
        earlier = next((one for one in merged if one.get("name") == output.get("name") is not None), None)
        if output["output_type"] == "stream" and earlier is not None:
            earlier["text"] += output["text"]
        else:
            merged.append(output)
    return [_plain(output) for output in merged]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook, executed as nbgrader does it."""
    node = nbformat.reads(notebook(*CELLS.values()).decode(), as_version=4)
    folder = tmp_path_factory.mktemp("real")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_CURRENT_TEST")  # ipykernel does not watch descriptors 1 and 2 when it is set
        Execute(timeout=120).preprocess(node, {"metadata": {"path": str(folder)}})
    return node


@pytest.fixture(scope="module")
def ours(runner: Any) -> Result:
    """The notebook, executed in a forked kernel."""
    from torchdojo.kernels.job import Job

    job = Job("fidelity", notebook(*CELLS.values()), preload=("matplotlib.pyplot", "ipywidgets"))
    return runner.execute(job)


@pytest.mark.parametrize("index", range(len(CELLS)), ids=list(CELLS))
def test_outputs_are_those_of_a_real_kernel(index: int, real: Any, ours: Result) -> None:
    """Each kind of output is the same as from nbclient and ipykernel over sockets."""
    cell = next(cell for cell in ours.cells if cell.index == index)
    expected = real["cells"][index]
    assert _merged(cell.outputs) == _merged(expected["outputs"])
    assert cell.execution_count == expected["execution_count"]


def test_outputs_are_valid(ours: Result) -> None:
    """Outputs grafted onto a notebook satisfy nbformat's schema."""
    node = nbformat.reads(notebook(*CELLS.values()).decode(), as_version=4)
    for cell in ours.cells:
        node.cells[cell.index].outputs = [nbformat.from_dict(output) for output in cell.outputs]
    nbformat.validate(node)


def test_widgets_are_those_of_nbclient(real: Any, ours: Result) -> None:
    """The models of the notebook's widgets are kept, as in a notebook that nbclient executed."""
    kind = "application/vnd.jupyter.widget-state+json"
    expected = sorted(model["model_name"] for model in real.metadata.widgets[kind]["state"].values())
    found = sorted(model["model_name"] for model in ours.widgets[kind]["state"].values())
    assert found == expected

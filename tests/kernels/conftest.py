"""Notebooks made on the spot, and one warm runner for all tests of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import notebook
from torchdojo.kernels.execute import Runner
from torchdojo.kernels.job import Job, Limits, Result

QUICK = Limits(cell_timeout_s=20, notebook_timeout_s=60)


def text(result: Result, index: int) -> str:
    """All that a cell put out, as text."""
    cell = next(cell for cell in result.cells if cell.index == index)
    parts = []
    for output in cell.outputs:
        if output["output_type"] == "stream":
            parts.append(output["text"])
        elif output["output_type"] == "error":
            parts.append(f"{output['ename']}: {output['evalue']}")
        else:
            parts.append(str(output["data"].get("text/plain")))
    return "\n".join(parts).strip()


def errors(result: Result) -> list[list[str]]:
    """Names of the errors of each cell."""
    return [[o["ename"] for o in cell.outputs if o["output_type"] == "error"] for cell in result.cells]


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    """A runner whose zygote has numpy and matplotlib."""
    runner = Runner()
    yield runner
    runner.close()


@pytest.fixture(params=["none", pytest.param("full", marks=pytest.mark.slow)])
def level(request: pytest.FixtureRequest) -> str:
    """The sandbox around the jobs of `run`."""
    return str(request.param)


@pytest.fixture
def run(runner: Runner, level: str) -> Callable[..., Result]:
    """Run cells in the warm runner: run("1 + 1", "2 + 2", limits=…) -> Result."""

    def run(*sources: str, limits: Limits = QUICK, **more: object) -> Result:
        more.setdefault("preload", ("matplotlib.pyplot", "ipywidgets"))
        result = runner.execute(Job("a job", notebook(*sources), limits=limits, sandbox=level, **more))  # type: ignore[arg-type]
        if level == "full" and "sandbox could not be built" in result.sentence:
            pytest.skip(result.sentence)
        return result

    return run

"""One runner with a checker for the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from torchdojo.isolation.judge import runner_of
from torchdojo.kernels.execute import Runner


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    """A runner with a checker."""
    runner = Runner(runner_of)
    yield runner
    runner.close()

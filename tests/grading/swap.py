"""A pytest plugin: in nbgrader's own tests, `autograde` is torchdojo's. Loaded with `-p tests.grading.swap`."""

from __future__ import annotations

import functools
from typing import Any

import nbgrader.api
import pytest
from nbgrader.apps.nbgraderapp import NbGraderApp
from traitlets import default

from torchdojo.grading.application import AutogradeApplication
from torchdojo.kernels.pool import Pool


class _Kept(Pool):
    """One pool for all tests: a start of it costs a second, and there are eighty."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        pass

    def end(self) -> None:
        super().shutdown()


class Autograde(AutogradeApplication):
    """The command, with the pool that is kept."""

    kept: _Kept

    @default("pool")
    def _pool_default(self) -> Any:
        return self.kept


def pytest_configure(config: pytest.Config) -> None:
    Autograde.kept = _Kept(2)
    NbGraderApp.subcommands["autograde"] = (Autograde, "torchdojo's")
    # a process of its own for every new gradebook, and always the same answer
    nbgrader.api.get_alembic_version = functools.cache(nbgrader.api.get_alembic_version)


def pytest_unconfigure(config: pytest.Config) -> None:
    Autograde.kept.end()

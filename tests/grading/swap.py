"""A pytest plugin: in nbgrader's own tests, `autograde` is torchdojo's. Load it with `-p tests.grading.swap`."""

from __future__ import annotations

import pytest
from nbgrader.apps.nbgraderapp import NbGraderApp

from torchdojo.grading.application import AutogradeApplication


def pytest_configure(config: pytest.Config) -> None:
    NbGraderApp.subcommands["autograde"] = (AutogradeApplication, "torchdojo's")

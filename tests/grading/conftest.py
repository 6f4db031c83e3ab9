"""A foreign course, built once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.grading import foreign


@pytest.fixture(scope="session")
def _released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign.build(tmp_path_factory.mktemp("foreign") / "course")


@pytest.fixture
def course(_released: Path, tmp_path: Path) -> Path:
    """A course that knows nothing of torchdojo, its assignment ps1 released, nothing handed in."""
    return Path(shutil.copytree(_released, tmp_path / "course"))

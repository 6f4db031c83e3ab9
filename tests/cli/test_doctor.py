"""`torchdojo doctor` says what is missing for the course and exits 1, or says what is there and exits 0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from torchdojo.cli import cli
from torchdojo.kernels import sandbox_probe
from torchdojo.kernels.sandbox_probe import PROPERTIES, Property, SandboxReport

FULL = SandboxReport("full", tuple(Property(name, True, "namespaces") for name in PROPERTIES), "", 7, False)
PARTIAL = SandboxReport(
    "partial",
    tuple(Property(name, name != "disk", "Landlock", "Disks fill." * (name == "disk")) for name in PROPERTIES),
    "User namespaces are switched off.",
    7,
    False,
)


@pytest.fixture
def in_course(small_course: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small course that asks for a full sandbox, with data that is there."""
    file = small_course / "course.yml"
    file.write_text(file.read_text().replace("sandbox: none", "sandbox: full"))
    monkeypatch.setattr("torchdojo.datasets.mnist_root", lambda root, *, verify: root)
    monkeypatch.chdir(small_course)
    return small_course


def _doctor(monkeypatch: pytest.MonkeyPatch, report: SandboxReport, *arguments: str) -> Any:
    monkeypatch.setattr(sandbox_probe, "probe", lambda *_: report)
    return CliRunner().invoke(cli, ["doctor", *arguments], standalone_mode=False)


def test_a_machine_that_has_all_is_said_to(in_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 0, and every promise of the sandbox is listed."""
    done = _doctor(monkeypatch, FULL)
    assert done.return_value == 0, done.output
    assert all(name in done.output for name in PROPERTIES)
    assert "A small course" in done.output


def test_a_machine_that_gives_less_than_the_course_asks_for(in_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit status 1, with what is missing and what would not hold."""
    done = _doctor(monkeypatch, PARTIAL)
    assert done.return_value == 1
    assert "switched off" in done.output
    assert "Disks fill." in " ".join(done.output.split())


def test_what_a_machine_reads(in_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--json has the verdict, each check with its remedy, and the whole report."""
    done = _doctor(monkeypatch, PARTIAL, "--json")
    found = json.loads(done.output)
    assert found["ok"] is False
    assert found["sandbox"] == json.loads(json.dumps(PARTIAL.to_plain()))
    checks = {check["name"]: check for check in found["checks"]}
    assert checks["sandbox"]["ok"] is False
    assert checks["torch"]["ok"] is True


def test_outside_a_course_nothing_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a course.yml nothing is asked for: what is there is shown, exit status 0."""
    monkeypatch.chdir(tmp_path)
    done = _doctor(monkeypatch, PARTIAL)
    assert done.return_value == 0
    assert "none here" in done.output


def test_a_broken_course_is_a_finding(in_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A course.yml that cannot be read is said with its line; the machine is looked at all the same."""
    (in_course / "course.yml").write_text("format: 1\ntitle: [\n")
    done = _doctor(monkeypatch, FULL)
    assert done.return_value == 1
    assert "course.yml" in done.output
    assert "user" in done.output


def test_a_gpu_that_is_asked_for_and_is_not_there(in_course: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner of device cuda on a machine without: exit status 1, with the two ways out."""
    import torch

    file = in_course / "course.yml"
    file.write_text(file.read_text().replace("device: cpu", "device: cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = _doctor(monkeypatch, FULL)
    assert done.return_value == 1
    assert "without_gpu: cpu" in done.output

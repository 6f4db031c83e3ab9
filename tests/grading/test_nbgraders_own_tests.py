"""nbgrader's own tests of `autograde`, which ship with it, with torchdojo's in its place."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What fails on purpose, and why. Also in docs/why.md.
EXCEPTIONS = {
    "test_side_effects": "what student code writes stays where it ran; it is not copied into autograded/",
    "test_handle_failure_single_notebook": "a failed submission leaves no empty folder that looks graded",
}


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nbgraders_tests_pass_but_for_named_exceptions(tmp_path: Path) -> None:
    """Whatever nbgrader's own autograde passes here, passes; an exception has a reason."""
    report = tmp_path / "report.xml"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = [sys.executable, "-m", "pytest", "--pyargs", "nbgrader.tests.apps.test_nbgrader_autograde", "-q"]
    plugins = ["no:randomly", "no:xdist", "no:cacheprovider", "tests.grading.swap"]
    command += ["-c", os.devnull, f"--rootdir={tmp_path}", f"--junitxml={report}", *(f"-p{name}" for name in plugins)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    cases = ElementTree.parse(report).getroot().iter("testcase")
    ended = {case.get("name"): {child.tag for child in case} for case in cases}
    assert len(ended) >= 42, done.stdout
    failed = {name for name, tags in ended.items() if tags & {"failure", "error"}}
    assert failed == set(EXCEPTIONS), done.stdout

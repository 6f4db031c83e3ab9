"""The command: nbgrader's flags and configuration, JSON on stdout, talk on stderr, exit statuses, Ctrl-C."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.grading import foreign
from tests.grading.running import grade
from torchdojo.grading.application import AutogradeApplication
from torchdojo.grading.early import guess
from torchdojo.grading.journal import Journal

COMMAND = [sys.executable, "-m", "torchdojo", "autograde"]
STOPS_WITHIN_S = 2.0
UNDER_LOAD = 3  # CI's machine may be at work elsewhere


def run(course: Path, *arguments: str) -> int:
    """The command in this process; its exit status."""
    AutogradeApplication.clear_instance()
    app = AutogradeApplication()
    with contextlib.chdir(course):
        try:
            app.initialize([f"--course-dir={course}", *arguments])
            app.start()
        except SystemExit as left:
            return int(left.code or 0)
    return 0


def test_a_class_from_the_command_line(course: Path) -> None:
    """One JSON line a submission on stdout, the rest on stderr; 1 when somebody was not graded."""
    foreign.submit(course, "ann", foreign.solve)
    foreign.submit(course, "bea")
    (foreign.submit(course, "cyd") / "p1.ipynb").write_text("nonsense")
    done = subprocess.run([*COMMAND, "ps1", "--json"], cwd=course, capture_output=True, text=True, check=False)
    lines = {line["student"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 1, done.stderr
    assert {name: (line["status"], line["score"]) for name, line in lines.items()} == {
        "ann": ("graded", 11),
        "bea": ("graded", 0),
        "cyd": ("unreadable notebook", None),
    }
    assert all(line["format"] == 1 for line in lines.values())
    assert "unreadable notebook" in done.stderr
    assert "1 submission not graded" in done.stderr


def _sleeps(first: dict[str, Any], second: dict[str, Any]) -> None:
    first["imports"].source += "\nimport time, subprocess\nsubprocess.Popen(['sleep', '77.5'])\ntime.sleep(60)"


def test_ctrl_c_stops_soon_and_keeps_what_is_recorded(course: Path) -> None:
    """It ends within two seconds, leaves no process, says how to go on; the graded one is not graded again."""
    (course / "nbgrader_config.py").write_text(foreign.CONFIG.replace("timeout = 10", "timeout = 60"))
    foreign.submit(course, "ann", foreign.solve)
    foreign.submit(course, "bea", _sleeps)
    command = [*COMMAND, "ps1", "--json", "--workers=1"]
    with subprocess.Popen(
        command, cwd=course, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())["student"] == "ann"
        time.sleep(2)  # well into the sleeping cell
        family = psutil.Process(process.pid).children(recursive=True)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
        process.wait()
        took_s = time.monotonic() - began
    assert process.returncode == 130, said
    assert took_s < STOPS_WITHIN_S * UNDER_LOAD
    assert "1 submission not graded yet" in said
    assert "goes on where it stopped" in said
    assert not [child for child in family if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    with Journal(course / ".torchdojo", f"sqlite:///{course}/gradebook.db") as journal:
        stands = {student: entry.graded.recorded for student, entry in journal.entries("ps1").items()}
    assert stands == {"ann": True, "bea": False}


def test_dry_run_says_why_and_writes_nothing(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be graded and why, for a person and for a machine."""
    foreign.submit(course, "ann")
    assert run(course, "ps1", "--dry-run") == 0
    assert capsys.readouterr().out == "ann: new\n"
    grade(course)
    assert run(course, "ps1", "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"format": 1, "assignment": "ps1", "student": "ann", "why": ""}


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ps2"], 1, "Did you mean 'ps1'"),
        ([], 1, ""),
        (["ps1", "ps2"], 1, ""),
        (["ps1", "--db=sqlite:////nowhere/gradebook.db"], 2, "there is no gradebook"),
    ],
)
def test_what_cannot_be_graded_has_an_exit_status(
    course: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], status: int, said: str
) -> None:
    """One sentence on stderr; nbgrader's own status where nbgrader has one."""
    foreign.submit(course, "ann")
    assert run(course, *arguments, "--dry-run") == status
    assert said in capsys.readouterr().err


def test_nbgraders_flags_are_understood(course: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--student and the exclusion list choose, as in nbgrader; --help-all knows both programs' options."""
    for student in ("ann", "bea", "cyd"):
        foreign.submit(course, student)
    run(course, "ps1", "--dry-run", "--student=a*")
    run(course, "ps1", "--dry-run", "--CourseDirectory.student_id_exclude=ann,cyd")
    assert capsys.readouterr().out == "ann: new\nbea: new\n"
    run(course, "--help-all")
    text = capsys.readouterr().out
    assert "--AutogradeApplication.workers" in text
    assert "--Execute.timeout" in text or "--Autograde.create_student" in text


def test_what_will_run_is_guessed(course: Path) -> None:
    """From the command line and the course alone, so that torch is imported meanwhile; when in doubt, nothing."""
    foreign.submit(course, "ann")
    found = guess(["ps1", "--workers=3", "--student", "ann"], course)
    assert found is not None
    assert (set(found.preload), found.jobs, found.workers) == ({"pathlib", "sys"}, 2, 3)
    assert guess(["--course-dir", str(course), "--assignment=ps1"], course.parent) is not None
    assert guess(["ps1", "--dry-run"], course) is None
    assert guess(["ps9"], course) is None

"""Grades a class of attackers in one batch and says what came of each: points, what was put out, what stayed behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from tests.attacks.course import ASSIGNMENT, Canaries
from tests.attacks.grounds import Family, Grounds
from tests.grading import foreign
from tests.grading.pages import feedback
from torchdojo.grading.journal import Journal

GRADED_WITHIN_S = 1200


@dataclass
class Fate:
    """What came of one student's work."""

    points: dict[str, float | None] = field(default_factory=dict)  # by grade id; None waits for a human
    put_out: str = ""  # all outputs of the graded notebook
    words: str = ""  # of the journal, and what was printed
    page: str = ""  # nbgrader's feedback
    status: str = ""
    marks: list[str] = field(default_factory=list)  # where the mark was seen, besides what was put out


@dataclass
class Battle:
    """What came of a batch."""

    fates: dict[str, Fate]
    left: list[str]  # processes, folders
    said: str
    seconds: float
    exit_status: int
    victim_lives: bool

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Battle:
        fields: dict[str, Any] = json.loads(text)
        return cls(**(fields | {"fates": {name: Fate(**fate) for name, fate in fields["fates"].items()}}))


def fight(
    course: Path,
    command: Sequence[str],
    marks: Mapping[str, str],
    grounds: Grounds,
    canaries: Canaries,
    *,
    pages: bool = False,
) -> Battle:
    """Run `command` in the course, watch, and look around afterwards."""
    environment = os.environ | {"ATTACKED_SECRET": canaries.environment, "TMPDIR": str(grounds.temporary)}
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(open(course / "said.txt", "w+", encoding="utf-8", errors="replace"))
        process = subprocess.Popen(
            command, cwd=course, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
        stack.callback(process.kill)
        family = Family(process.pid)
        while process.poll() is None and time.monotonic() - start < GRADED_WITHIN_S:
            family.look()
            time.sleep(0.2)
        status = process.wait(10)
        output.seek(0)
        said = output.read()
    time.sleep(1)  # what was killed is gone
    seconds = time.monotonic() - start
    left = [*family.left(), *sorted(os.listdir(grounds.temporary))]
    found = grounds.marks(list(marks.values()))
    written = feedback(course, ASSIGNMENT) if pages else {}
    journal = _journal(course)
    fates = {}
    for student in sorted(path.name for path in (course / "submitted").iterdir()):
        graded = course / "autograded" / student / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
        fates[student] = Fate(
            points={name: score for name, (score, _) in foreign.grades(course, student).items()},
            put_out=_put_out(graded),
            words=journal.get(student, "") + "\n".join(re.findall(f".*{student}.*", said)),
            page=written.get(f"{student}/{ASSIGNMENT}", ""),
            status=json.loads(journal[student])["status"] if student in journal else "",
            marks=found.get(marks.get(student, "no mark"), []),
        )
    return Battle(fates, left, said[-20_000:], seconds, status, grounds.victim_lives())


def _put_out(path: Path) -> str:
    if not path.exists():
        return ""
    node = nbformat.read(path, as_version=4)
    return "\n".join(_text(cell) for cell in node.cells)


def _text(cell: Any) -> str:
    """Outputs and metadata: of what lies in a graded notebook all but the source."""
    shown = [json.dumps(output, ensure_ascii=False) for output in cell.get("outputs", [])]
    texts = ["".join(line for line in output.get("text", "")) for output in cell.get("outputs", [])]
    return "\n".join([*shown, *texts, json.dumps(cell.metadata, ensure_ascii=False)])


def _journal(course: Path) -> dict[str, str]:
    if not (course / ".torchdojo").exists():
        return {}
    with Journal(course / ".torchdojo", f"sqlite:///{course}/gradebook.db") as journal:
        return {
            student: json.dumps(asdict(entry.graded), ensure_ascii=False)
            for student, entry in journal.entries(ASSIGNMENT).items()
        }


def torchdojo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "torchdojo", "autograde", ASSIGNMENT, "--json", *arguments]


def nbgrader(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nbgrader", "autograde", ASSIGNMENT, *arguments]

"""`make demo`: release, rehearse, grade, compare, feedback. Reads like its own summary."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from torchdojo.authoring.release import release
from torchdojo.course import Course, load
from torchdojo.errors import OursError
from torchdojo.kernels.sandbox_probe import probe, require
from torchdojo.rehearsal.rehearse import KnownGrade, rehearse

CLASSES = {"05-modules": 12, "09-mnist": 4}
SEED = 1

console = Console(highlight=False)


def main() -> int:
    """Run every step. Returns 0 when every score is the one known in advance, 1 when not."""
    course = load()
    known = {}
    started = time.monotonic()
    sandbox = _sandbox(course)
    for name, students in CLASSES.items():
        _say(f"{name}: release, and a pretend class of {students}")
        release(course, name)
        known[name] = rehearse(course, name, students=students, seed=SEED)
    for name in known:
        _say(f"{name}: grade (torchdojo autograde {name})")
        _autograde(course, name, sandbox)
    right = min(_compare(course, name, grades) for name, grades in known.items())
    for name, grades in known.items():
        _say(f"{name}: nbgrader's feedback pages")
        _nbgrader(course, "generate_feedback", name, len(grades))
    _what_next(course, known)
    verdict = "Every score is the one known in advance." if right else "Some scores differ from those known in advance."
    console.print(f"\n[bold]{verdict}[/] ({time.monotonic() - started:.0f} s)")
    return 0 if right else 1


def _say(text: str) -> None:
    console.print(f"[bold]──[/] {text}")


def _sandbox(course: Course) -> str:
    """The level the course asks for, or the best this machine can give: the class is ours, so that is no danger."""
    report = probe()
    for level in ("full", "partial", "none"):
        try:
            require(level, report)
        except OursError as error:
            if level == course.sandbox:
                console.print(f"[bold]!![/] {error}\n   This class is pretended, so the demo goes on with less.")
        else:
            return level
    return "none"


def _autograde(course: Course, name: str, sandbox: str) -> None:
    command = [sys.executable, "-m", "torchdojo", "autograde", name, "--sandbox", sandbox]
    done = subprocess.run(command, cwd=course.root, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"torchdojo autograde {name} ended with status {done.returncode}; it says why above.")


def _nbgrader(course: Course, verb: str, name: str, count: int) -> None:
    """Run plain nbgrader, its log turned into a progress bar."""
    command = [sys.executable, "-m", "nbgrader", verb, name]
    columns = (TextColumn("   {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    log: list[str] = []
    with (
        Progress(*columns, console=console, transient=True) as progress,
        subprocess.Popen(command, cwd=course.root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run,
    ):
        task = progress.add_task(verb, total=count)
        assert run.stdout is not None
        for line in run.stdout:
            log.append(line)
            if re.search(r"Converting notebook|Skipping existing", line):
                progress.update(task, completed=min(count, sum("Converting" in x or "Skipping" in x for x in log)))
    if run.returncode:
        console.print("".join(log[-20:]), markup=False)
        raise SystemExit(f"nbgrader {verb} {name} ended with status {run.returncode}; its last lines are above.")


def _compare(course: Course, name: str, grades: Sequence[KnownGrade]) -> bool:
    table = Table("student", "wrote", "known", "graded", "", pad_edge=False)
    right = True
    with Gradebook(f"sqlite:///{course.root / 'gradebook.db'}", course.course_id) as gradebook:
        for grade in grades:
            try:
                score = gradebook.find_submission(name, grade.student)
                cells = {g.name: g.auto_score for n in score.notebooks for g in n.grades if g.name in grade.cells}
                graded: float | None = round(sum(cells.values()), 2)
            except MissingEntry:
                cells, graded = {}, None
            same = cells == grade.cells if grade.score is not None else graded is None
            right &= same
            wrote = _what_was_wrong(grade)
            table.add_row(grade.student, wrote, _number(grade.score), _number(graded), "✓" if same else "✗ differs")
    console.print(f"\n[bold]{name}[/]")
    console.print(table)
    return right


def _what_was_wrong(grade: KnownGrade) -> str:
    if set(grade.wrote.values()) == {"nothing"}:
        return "nothing at all"
    wrong = [f"{e}: {w.removeprefix('misconception ')}" for e, w in grade.wrote.items() if _is_wrong(w)]
    return ", ".join(wrong) or "everything right"


def _is_wrong(words: str) -> bool:
    return words != "the reference" and not words.startswith("solution ")


def _number(score: float | None) -> str:
    return "not graded" if score is None else f"{score:g}"


def _what_next(course: Course, known: dict[str, list[KnownGrade]]) -> None:
    name, grades = next(iter(known.items()))
    page = Path("feedback") / grades[0].student / name / f"{course.assignment(name).notebook}.html"
    console.print("\nWhere things are:")
    for path, what in (
        ("release/", "what students get"),
        ("submitted/", "the pretend class, and what grading must find (*.known.json)"),
        ("autograded/", "their notebooks, run and graded"),
        ("gradebook.db", "the scores, nbgrader's own"),
        (str(page), "what the first student reads"),
    ):
        console.print(f"  {path:<60} {what}", markup=False)
    console.print("What to type next:")
    for command, what in (
        ("make lab", "JupyterLab: open release/05-modules/ as a student does"),
        (".venv/bin/nbgrader formgrader", "grade the written answers by hand (in JupyterLab: Nbgrader > Formgrader)"),
        (".venv/bin/torchdojo verify 05-modules", "see which wrong idea each test catches"),
        (".venv/bin/torchdojo --help", "everything else"),
    ):
        console.print(f"  {command:<60} {what}", markup=False)


if __name__ == "__main__":
    sys.exit(main())

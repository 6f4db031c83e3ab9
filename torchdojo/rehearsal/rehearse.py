"""Write a pretend class into `submitted/`, each grade known in advance and written beside it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nbformat

from torchdojo.authoring.trial import Trial, TrialResult, run_trials
from torchdojo.authoring.verify import run_given_cells
from torchdojo.course import Assignment, Course
from torchdojo.errors import AuthorError
from torchdojo.notebook import Exercise, Notebook, read, read_node
from torchdojo.rehearsal.pupils import Answer, Pupil, draw_class

_TROUBLE_CODE = {
    "crash": "raise ValueError('a cell that raises')\n",
    "endless-loop": "while True:\n    pass\n",
    # not a signal: in a full sandbox a kernel is process 1 of its namespace, and signals it sends itself do nothing
    "killed-kernel": "import os\n\nos._exit(1)\n",
}
_STATUS = {
    "": "graded",
    "crash": "graded",
    "endless-loop": "graded with a stopped cell",
    "killed-kernel": "kernel died",
    "not-json": "unreadable notebook",
}


@dataclass(frozen=True, slots=True)
class KnownGrade:
    """What grading must say of one pupil. `score` is None where no grade may stand.

    `cells` are points by grade id, hand-graded cells left out; `wrote` says what they wrote, exercise by exercise.
    """

    student: str
    status: str
    score: float | None
    cells: dict[str, float]
    wrote: dict[str, str]


def rehearse(
    course: Course,
    name: str,
    *,
    students: int,
    seed: int,
    trouble: bool = False,
    workers: int = 2,
    on_result: Callable[[TrialResult, int, int], None] | None = None,
) -> list[KnownGrade]:
    """Write `submitted/<pupil>/<name>/` for a pretend class and `submitted/<name>.known.json` beside it.

    Called again with the same arguments and the same notebooks, it writes nothing.

    What a wrong idea earns is found by trying it in a scratch namespace, apart from any grading.

    Args:
        course: the course; the assignment must have been released.
        name: an assignment.
        students: how many, at least 2.
        seed: the same seed writes the same class.
        trouble: four more students: a crash in a cell, an endless loop, a killed kernel, a notebook that is not JSON.
        workers: processes at once while finding grades.
        on_result: called in this process after each trial with it, how many are done, and how many there are.

    Raises:
        AuthorError: not released yet, fewer than two students, or a submission of somebody real is in the way.
    """
    assignment = course.assignment(name)
    if students < 2:
        raise AuthorError(f"--students {students}: a class has at least 2. Write --students 12, say.")
    source = course.source_notebook(assignment)
    notebook = read(source)
    released_path = course.root / "release" / name / f"{assignment.notebook}.ipynb"
    if not released_path.is_file():
        raise AuthorError(f"{released_path}: not released yet. Type: torchdojo release {name}")
    known_path = course.root / "submitted" / f"{name}.known.json"
    made_from = {"students": students, "seed": seed, "trouble": trouble, "released": _md5(released_path, source)}
    before = _read_known(known_path)
    if before.get("made_from") == made_from and _all_there(course, assignment, before):
        return [KnownGrade(**entry) for entry in before["grades"]]
    pupils = draw_class(notebook, students, seed, trouble=trouble)
    _refuse_real_submissions(course, name, before)
    points = _points_of_wrong_ideas(notebook, pupils, assignment, workers, on_result)
    grades = [_known(notebook, pupil, points) for pupil in pupils]
    whole = {"made_from": made_from, "grades": [asdict(grade) for grade in grades]}
    known_path.parent.mkdir(exist_ok=True)
    half = known_path.with_suffix(".half")  # first the list of who is pretended, so that a rehearsal cut off is known
    half.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    half.replace(known_path)
    for pupil in pupils:
        _write(course, assignment, notebook, released_path, pupil)
    return grades


def known_grades(course: Course, name: str) -> list[KnownGrade]:
    """The grades written beside a rehearsed class. Raises AuthorError when there is none."""
    path = course.root / "submitted" / f"{name}.known.json"
    known = _read_known(path)
    if not known:
        raise AuthorError(f"{path}: no rehearsed class. Type: torchdojo rehearse {name} --students 12")
    return [KnownGrade(**entry) for entry in known["grades"]]


def _read_known(path: Path) -> dict[str, Any]:
    """What a rehearsal wrote beside its class; empty when there is none."""
    if not path.is_file():
        return {}
    whole: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return whole


def _md5(*paths: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _all_there(course: Course, assignment: Assignment, known: dict[str, Any]) -> bool:
    folders = (course.root / "submitted" / entry["student"] / assignment.name for entry in known["grades"])
    return all((folder / f"{assignment.notebook}.ipynb").is_file() for folder in folders)


def _refuse_real_submissions(course: Course, name: str, before: dict[str, Any]) -> None:
    """A rehearsal may replace a rehearsal, never a submission."""
    ours = {entry["student"] for entry in before.get("grades", ())}
    for folder in sorted((course.root / "submitted").glob(f"*/{name}")):
        if folder.parent.name not in ours:
            raise AuthorError(
                f"{folder}: a submission that no rehearsal wrote. Rehearse in a copy of the course, or move it away."
            )
    for student in ours:
        folder = course.root / "submitted" / student / name
        if folder.is_dir():
            shutil.rmtree(folder)


def _points_of_wrong_ideas(
    notebook: Notebook,
    pupils: Sequence[Pupil],
    assignment: Assignment,
    workers: int,
    on_result: Callable[[TrialResult, int, int], None] | None,
) -> dict[tuple[str, str], float]:
    exercises = {exercise.name: exercise for exercise in notebook.exercises}
    wanted = {
        (answer.exercise, answer.key): Trial(exercises[answer.exercise], answer.kind, answer.key, answer.sources)
        for pupil in pupils
        for answer in pupil.answers
        if answer.kind == "misconception"
    }
    points = {}
    if wanted:
        namespace = run_given_cells(notebook)
        trials = run_trials(list(wanted.values()), namespace, workers=workers, limit_s=assignment.limits.cell_timeout_s)
        for done, result in enumerate(trials, start=1):
            points[result.trial.exercise.name, result.trial.key] = result.report.points
            if on_result is not None:
                on_result(result, done, len(wanted))
    return points


def _known(notebook: Notebook, pupil: Pupil, points: dict[tuple[str, str], float]) -> KnownGrade:
    cells: dict[str, float] = {}
    trouble_at = _exercise_in_trouble(notebook) if pupil.trouble else None
    over = False
    for exercise, answer in zip(notebook.exercises, pupil.answers, strict=True):
        earned = {"reference": exercise.points, "solution": exercise.points, "empty": 0.0}.get(answer.kind)
        if earned is None:
            earned = points[answer.exercise, answer.key]
        if exercise is trouble_at:
            over = pupil.trouble == "killed-kernel"
            earned = 0.0
        cells[exercise.grade_id] = 0.0 if over else earned
    wrote = {answer.exercise: _in_words(answer) for answer in pupil.answers}
    if pupil.trouble:
        wrote["trouble"] = pupil.trouble
    if pupil.trouble == "not-json":
        return KnownGrade(pupil.name, _STATUS[pupil.trouble], None, {}, wrote)
    return KnownGrade(pupil.name, _STATUS[pupil.trouble], round(sum(cells.values()), 2), cells, wrote)


def _in_words(answer: Answer) -> str:
    alone = {"empty": "nothing", "reference": "the reference"}
    return alone.get(answer.kind, f"{answer.kind} {answer.key}")


def _exercise_in_trouble(notebook: Notebook) -> Exercise:
    return notebook.exercises[len(notebook.exercises) // 2]


def _write(course: Course, assignment: Assignment, notebook: Notebook, released: Path, pupil: Pupil) -> None:
    folder = course.root / "submitted" / pupil.name / assignment.name
    folder.mkdir(parents=True)
    path = folder / f"{assignment.notebook}.ipynb"
    node = read_node(released)
    cells = {(cell.metadata.get("nbgrader") or {}).get("grade_id"): cell for cell in node.cells}
    for exercise, answer in zip(notebook.exercises, pupil.answers, strict=True):
        for source, place in zip(answer.sources, exercise.solution_cells, strict=False):
            cells[place.grade_id].source = source
    if pupil.trouble in _TROUBLE_CODE:
        cell = cells[_exercise_in_trouble(notebook).solution_cells[0].grade_id]
        cell.source = _TROUBLE_CODE[pupil.trouble] + "\n" + cell.source
    _answer_by_hand(node, written=any(answer.kind != "empty" for answer in pupil.answers))
    text = nbformat.writes(node)
    path.write_text(text[: len(text) // 2] if pupil.trouble == "not-json" else text, encoding="utf-8")
    handed_in = (assignment.due or datetime.now(UTC)) - timedelta(hours=1)
    stamp = handed_in.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")
    (folder / "timestamp.txt").write_text(stamp + "\n", encoding="utf-8")


def _answer_by_hand(node: Any, *, written: bool) -> None:
    """Fill hand-graded cells, so that formgrader has something to show."""
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if written and meta.get("grade") and meta.get("solution") and cell.cell_type == "markdown":
            cell.source = "A pretend answer, written by `torchdojo rehearse`, to be graded by hand."

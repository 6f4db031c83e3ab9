"""From results to grades: the only writer of the gradebook and of `autograded/`.

A submission is recorded whole or not at all: its rows in one transaction, its folder by renaming.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import nbformat
from nbgrader.api import MissingEntry
from nbgrader.preprocessors import SaveAutoGrades

from torchdojo.grading.autograded import NewFolder, new_folder, remove_autograded
from torchdojo.grading.folder import CourseFolder, Submission
from torchdojo.grading.gradebook import Ledger
from torchdojo.grading.graft import Grafted, graft, keep
from torchdojo.grading.inert_prose import make_prose_inert, released_prose
from torchdojo.grading.prepare import NO_DATE, Prepared, PreparedNotebook, resources_for
from torchdojo.grading.status import Graded, NotebookGrade, Status, severity, worst
from torchdojo.grading.steps import run_step
from torchdojo.kernels.job import JobStatus, Result

_STATUS = {
    JobStatus.COMPLETED: Status.GRADED,
    JobStatus.STOPPED: Status.STOPPED,
    JobStatus.DIED: Status.DIED,
    JobStatus.UNREADABLE: Status.UNREADABLE,
    JobStatus.OURS: Status.OURS,
}
_RECORDED = (Status.GRADED, Status.STOPPED, Status.DIED)


@dataclass(slots=True)
class _Judged:
    """One notebook with its outputs, before its scores are read off."""

    prepared: PreparedNotebook
    result: Result | None
    grafted: Grafted
    status: Status
    sentence: str
    resources: Any = None
    open_cells: dict[str, str] = field(default_factory=dict)  # grade id: why nobody judged it
    score: float | None = None
    max_score: float | None = None


def record(folder: CourseFolder, ledger: Ledger, prepared: Prepared, results: Mapping[str, Result]) -> Graded:
    """Write what came of a submission, or, where no grade can stand, leave it open for a human.

    Args:
        folder: the course.
        ledger: the gradebook, for writing.
        prepared: the submission.
        results: by job key.

    Raises:
        OperationalError: the gradebook is locked, read-only or its disk full. Nothing was written; call again.
        OursError: `autograded/` cannot be written. Nothing stands.
    """
    judged = [_judge(folder, prepared, notebook, results) for notebook in prepared.notebooks]
    if prepared.status is not None or any(each.status not in _RECORDED for each in judged):
        return _leave_open(folder, ledger, prepared, judged)
    with new_folder(folder, prepared.submission) as new:
        with ledger.transaction():
            penalty = _enter(folder, ledger, prepared, judged)
            for each in judged:
                new.write_notebook(each.prepared.name, each.prepared.node, each.resources)
        new.lay_down()
    notebooks = tuple(_grade(each) for each in judged)
    return Graded(
        assignment=prepared.submission.assignment,
        student=prepared.submission.student,
        status=worst([*(each.status for each in notebooks), *([Status.MISSING] if prepared.missing else [])]),
        sentence=_sentence(prepared, notebooks),
        recorded=True,
        score=sum(each.score or 0.0 for each in notebooks),
        max_score=sum(each.max_score or 0.0 for each in notebooks),
        penalty=penalty,
        notebooks=notebooks,
    )


# --------------------------------------------------------------------------------------------- judging


def _judge(
    folder: CourseFolder, prepared: Prepared, notebook: PreparedNotebook, results: Mapping[str, Result]
) -> _Judged:
    result = results.get(notebook.job.key) if notebook.job is not None else None
    if notebook.status is not None:
        return _Judged(notebook, None, Grafted(), notebook.status, notebook.sentence)
    if result is None:  # --no-execute: the outputs that the student sent
        keep(notebook.node)
        judged = _Judged(notebook, None, Grafted(), Status.GRADED, "")
    else:
        status = _STATUS[result.status]
        sentence = f"{notebook.name}.ipynb: {result.sentence}" if result.sentence else ""
        if status not in _RECORDED:
            return _Judged(notebook, result, Grafted(), status, sentence)
        grafted = graft(notebook.node, result)
        if grafted.stopped:
            status = worst([status, Status.STOPPED])
            sentence = sentence or f"{notebook.name}.ipynb, {grafted.stopped[0]}"
        judged = _Judged(notebook, result, grafted, status, sentence)
    make_prose_inert(notebook.node, notebook.expected, released_prose(folder.source(prepared.submission.assignment)))
    why = result.sentence if result is not None else ""
    judged.open_cells = dict.fromkeys(judged.grafted.not_run, f"did not run ({why})") | judged.grafted.faults
    judged.open_cells |= dict.fromkeys(notebook.repairs.ambiguous, "is answered in two ways")
    judged.resources = resources_for(
        folder, prepared.submission, notebook.name, NewFolder(folder, prepared.submission).path
    )
    try:
        nbformat.validate(notebook.node, relax_add_props=True)
    except nbformat.ValidationError as error:
        judged.status = Status.OURS
        judged.sentence = f"{notebook.name}.ipynb: the runner sent outputs that are none ({error.message[:200]})."
    return judged


def _enter(folder: CourseFolder, ledger: Ledger, prepared: Prepared, judged: list[_Judged]) -> float:
    """Every row of a submission, inside a transaction. Returns the late penalty in points."""
    _enter_submission(ledger, prepared)
    for name in prepared.missing:  # nbgrader's rule: what was not handed in is 0
        for grade in _rows(ledger, prepared, name).grades:
            grade.auto_score, grade.needs_manual_grade = 0, False
    ledger.db.commit()
    for each in judged:
        node, resources = each.prepared.node, each.resources
        _forget_deleted_cells(ledger, prepared, each)
        for step in folder.autograde_steps[1]:
            node, resources = run_step(step, node, resources, ledger)
            if isinstance(step, SaveAutoGrades):
                refused = resources["torchdojo"].get("scorer_refused", {})
                each.open_cells |= {name: f"nbgrader's scorer refuses ({why})" for name, why in refused.items()}
                _leave_cells_open(ledger, prepared, each)
        each.prepared.node = node
        points = {want.name: want.points or 0.0 for want in each.prepared.expected.values() if want.graded}
        place = (each.prepared.name, prepared.submission.assignment, prepared.submission.student)
        each.score, each.max_score = ledger.scores(*place, points)
    names = [*prepared.missing, *(each.prepared.name for each in judged)]
    return float(sum(_rows(ledger, prepared, name).late_submission_penalty or 0.0 for name in names))


def _enter_submission(ledger: Ledger, prepared: Prepared) -> None:
    submission = prepared.submission
    ledger.update_or_create_student(submission.student)
    when = {"timestamp": prepared.timestamp} if prepared.timestamp else {}
    row = ledger.update_or_create_submission(submission.assignment, submission.student, **when)
    prepared.submission_id = row.id


def enter_early(folder: CourseFolder, ledger: Ledger, submission: Submission) -> None:
    """Student and submission before any step, as nbgrader does: a course's own steps may look for them."""
    bare = Prepared(submission)
    with contextlib.suppress(*NO_DATE):
        bare.timestamp = folder.coursedir.get_existing_timestamp(str(submission.folder))
    with ledger.transaction():
        _enter_submission(ledger, bare)


def _rows(ledger: Ledger, prepared: Prepared, notebook: str) -> Any:
    return ledger.find_submission_notebook(notebook, prepared.submission.assignment, prepared.submission.student)


def _leave_cells_open(ledger: Ledger, prepared: Prepared, judged: _Judged) -> None:
    """No automatic score, and marked for a human: nbgrader would give 0, or full marks, or lose the submission."""
    submission = prepared.submission
    for name in judged.open_cells:
        with contextlib.suppress(MissingEntry):
            grade = ledger.find_grade(name, judged.prepared.name, submission.assignment, submission.student)
            grade.auto_score, grade.needs_manual_grade = None, True
    ledger.db.commit()


def _forget_deleted_cells(ledger: Ledger, prepared: Prepared, judged: _Judged) -> None:
    """A cell that this submission has not keeps no score of an earlier one."""
    there = {(cell.metadata.get("nbgrader") or {}).get("grade_id") for cell in judged.prepared.node.cells}
    submission = prepared.submission
    for want in judged.prepared.expected.values():
        if want.graded and want.name not in there:
            grade = ledger.find_grade(want.name, judged.prepared.name, submission.assignment, submission.student)
            if grade.auto_score is not None:
                grade.auto_score, grade.needs_manual_grade = None, True
    ledger.db.commit()


def _grade(judged: _Judged) -> NotebookGrade:
    status, sentence = judged.status, judged.sentence
    if judged.prepared.repairs.ambiguous:
        status = worst([status, Status.DUPLICATE])
    if judged.resources["torchdojo"].get("scorer_refused"):
        status = worst([status, Status.REFUSED])
    if judged.open_cells and not sentence:
        cell, why = next(iter(judged.open_cells.items()))
        sentence = f"{judged.prepared.name}.ipynb: cell {cell!r} {why}. Grade that cell by hand, in formgrader."
    result = judged.result
    return NotebookGrade(
        name=judged.prepared.name,
        status=status,
        sentence=sentence,
        score=judged.score,
        max_score=judged.max_score,
        notes=tuple(judged.prepared.repairs.notes),
        left_open=tuple(judged.open_cells),
        judged_in_kernel=tuple(judged.grafted.judged_in_kernel),
        slowest=judged.grafted.slowest,
        seconds=round(result.seconds, 3) if result else 0.0,
        cpu_s=round(result.cpu_s, 3) if result else 0.0,
        device=result.device if result else "cpu",
    )


def _sentence(prepared: Prepared, notebooks: tuple[NotebookGrade, ...]) -> str:
    said = [each.sentence for each in sorted(notebooks, key=lambda each: severity(each.status)) if each.sentence]
    if said:
        return said[-1]
    if prepared.missing:
        names = ", ".join(f"{name}.ipynb" for name in prepared.missing)
        return f"{names} was not handed in, and counts 0, as nbgrader has it. Ask for it, and autograde again."
    return ""


# ----------------------------------------------------------------------------------------- not graded


def _leave_open(folder: CourseFolder, ledger: Ledger, prepared: Prepared, judged: list[_Judged]) -> Graded:
    """No grade stands: in the gradebook every cell waits for a human, as after nbgrader's own failures; never a 0.

    What is our own fault changes nothing there: the next run tries again.
    """
    failed = [each for each in judged if each.status not in _RECORDED]
    status = prepared.status or worst(each.status for each in failed)
    sentence = prepared.sentence or next(each.sentence for each in failed if each.status is status)
    if status is not Status.OURS and prepared.notebooks:
        with ledger.transaction():
            _enter_submission(ledger, prepared)
            for notebook in prepared.notebooks:
                rows = _rows(ledger, prepared, notebook.name)
                rows.late_submission_penalty = None
                for grade in rows.grades:
                    grade.auto_score, grade.needs_manual_grade = None, True
        remove_autograded(folder, prepared.submission)
    return Graded(
        assignment=prepared.submission.assignment,
        student=prepared.submission.student,
        status=status,
        sentence=sentence,
        notebooks=tuple(_grade_less(each) for each in judged),
        handed_in_nothing=not prepared.submission.notebooks,
    )


def _grade_less(judged: _Judged) -> NotebookGrade:
    prepared = judged.prepared
    return NotebookGrade(prepared.name, judged.status, judged.sentence, notes=tuple(prepared.repairs.notes))

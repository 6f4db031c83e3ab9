"""Runs a prepared check and tells, cell by cell, what came of it.

What is told are events, plain dicts that cross to the command line as JSON:

- at: `sentence`, what is being waited for
- raised: `cell`, `exercise` (whose solution cell it is, or ""), `error`: a cell of the learner's, in one line
- exercise: `exercise`, `points`, `max_points`, `outcomes`, `sentence` (why nothing was judged), `fault` (it is not the
  learner's), `text` (the table)
- end: `following`, the exercise or assignment after those asked for, or ""; `note`
- error: `sentence`, `status`; nothing comes after it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchdojo.checks import CheckReport, TestOutcome
from torchdojo.checks.language import ENGLISH, Language
from torchdojo.checks.table import as_text
from torchdojo.errors import OursError
from torchdojo.grade_cell import hidden_lines
from torchdojo.isolation.judge import judge
from torchdojo.isolation.revival import run_on
from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.execute import CellRunner, Session
from torchdojo.kernels.job import CellResult, JobStatus, Result
from torchdojo.practice.attempt import Cell, Exercise
from torchdojo.practice.prepare import Prepared

Event = dict[str, Any]
Tell = Callable[[Event], None]
_ERROR_CHARS = 300


class Judging:
    """One check at work. `runner_of` is for a `Runner`; `finish` takes what its `execute` gave."""

    def __init__(self, prepared: Prepared, tell: Tell) -> None:
        self._prepared = prepared
        self._tell = tell
        self._told: set[int] = set()  # a runner begins again where its zygote died
        self._hidden = frozenset(line for each in prepared.exercises for line in hidden_lines(each.tests))

    def runner_of(self, session: Session, cell: CodeCell) -> CellRunner:
        """Called by a `Runner` for each cell."""
        return self._run

    def tell_warming(self) -> None:
        """Tell that the wait is for a warm parent."""
        sentence = f"warming up: importing what {self._prepared.assignment} needs, once"
        self._tell({"event": "at", "sentence": sentence})

    def finish(self, result: Result) -> None:
        """Tell the rest.

        Raises: OursError when the runner failed.
        """
        if result.status in (JobStatus.OURS, JobStatus.UNREADABLE):
            raise OursError(result.sentence)
        for index, cell in enumerate(self._prepared.cells):
            if cell.is_tests and cell.exercise and index not in self._told:
                self._tell(_judged(cell.exercise, None, result.sentence, language=self._prepared.language))
        self._tell({"event": "end", "following": self._prepared.following, "note": self._prepared.note})

    def _run(self, session: Session, code: CodeCell) -> CellResult:
        cell = self._prepared.cells[code.index]
        what = f"{'the tests of ' * cell.is_tests}{cell.label}"
        self._tell({"event": "at", "sentence": f"{self._prepared.assignment}: {what}"})
        report: list[CheckReport] = []
        result = judge(session, code, report.append) if cell.is_tests else run_on(session, code)
        if code.index not in self._told:
            self._told.add(code.index)
            if cell.is_tests and cell.exercise:
                why = result.fault or session.why_gone or "Its tests did not run."
                told = report[0] if report else None
                self._tell(_judged(cell.exercise, told, why, result.fault, self._prepared.language))
            else:
                self._tell_error(cell, session.outputs.cells[code.index])
        return result

    def _tell_error(self, cell: Cell, outputs: list[Event]) -> None:
        error = next((output for output in outputs if output["output_type"] == "error"), None)
        if error is None or error["ename"] == "CellNotRun":  # that was told of the cell that ended it all
            return
        text = f"{error['ename']}: {error['evalue']}".strip().removesuffix(":")
        if any(line in text for line in self._hidden):
            text = str(error["ename"])[:_ERROR_CHARS]
        text = " ".join(text.split())
        text = text if len(text) <= _ERROR_CHARS else text[: _ERROR_CHARS - 1] + "…"
        owner = cell.exercise.name if cell.exercise else ""
        self._tell({"event": "raised", "cell": f"cell {cell.number} ({cell.label})", "exercise": owner, "error": text})


def _judged(
    exercise: Exercise, report: CheckReport | None, why: str, fault: str = "", language: Language = ENGLISH
) -> Event:
    not_judged = language.say("Not judged · 0 of {most} points", most=f"{exercise.points:g}")
    return {
        "event": "exercise",
        "exercise": exercise.name,
        "points": report.points if report else 0.0,
        "max_points": exercise.points,
        "outcomes": [_plain(outcome) for outcome in language.report(report).outcomes] if report else [],
        "sentence": "" if report else why,
        "fault": fault,
        "text": as_text(report, language) if report else f"{not_judged}\n  – {why}",
    }


def _plain(outcome: TestOutcome) -> dict[str, str]:
    return {
        "name": outcome.name,
        "title": outcome.title,
        "verdict": str(outcome.verdict),
        "message": outcome.message,
        "expected": outcome.expected,
        "got": outcome.got,
    }

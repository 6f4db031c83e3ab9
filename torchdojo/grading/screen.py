"""What a TA sees of a batch: a progress bar, a line for each submission that needs somebody, a summary. On stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import IO, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from torchdojo.grading.batch import Watch
from torchdojo.grading.desk import Planned
from torchdojo.grading.status import BatchReport, Graded, Status
from torchdojo.isolation.plain import plain_line

_AT_MOST = 20  # sentences in the summary; --json has all
_COLOUR = {Status.GRADED: "green", Status.STOPPED: "yellow", Status.MISSING: "yellow", Status.DUPLICATE: "yellow"}


class _Rate(ProgressColumn):
    """Submissions a minute."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{60 * speed:.0f}/min" if speed else "", style="progress.data.speed")


class Screen(Watch):
    """Shows a batch while it runs. With `json_lines`, each submission is also one line of JSON on `out`.

    Args:
        assignment: its name.
        quiet: no progress and no summary.
        json_lines: also write JSON.
        out: where the JSON goes.
    """

    def __init__(
        self, assignment: str, *, quiet: bool = False, json_lines: bool = False, out: IO[str] | None = None
    ) -> None:
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._assignment = assignment
        self._json_lines, self._out = json_lines, out or sys.stdout
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._task = self._progress.add_task(escape(assignment), total=None)

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def planned(self, todo: Sequence[Planned], unchanged: Sequence[Graded]) -> None:
        self._progress.update(self._task, total=len(todo))
        if unchanged:
            self.console.print(f"{_count(len(unchanged), 'submission')} graded before and unchanged (--force: again).")
        for graded in unchanged:
            self._write(graded)

    def graded(self, graded: Graded) -> None:
        self._progress.advance(self._task)
        if graded.status is not Status.GRADED:
            self.console.print(_line(graded))
        self._write(graded)

    def waiting(self, sentence: str) -> None:
        self.console.print(escape(sentence))

    def _write(self, graded: Graded) -> None:
        if self._json_lines:
            print(json.dumps(as_json(graded), ensure_ascii=False), file=self._out, flush=True)

    def summary(self, report: BatchReport) -> None:
        """Print what came of the batch, and where to look next."""
        table = Table(box=None, show_header=False, pad_edge=False)
        for status, count in report.by_status.items():
            table.add_row(f"[{_COLOUR.get(status, 'red')}]{status}[/]", str(count))
        self.console.print(f"\n[bold]{escape(report.assignment)}[/]  {report.seconds:.1f} s")
        self.console.print(table)
        for line in _slowest(report.graded):
            self.console.print(escape(line))
        for line in _next_steps(report):
            self.console.print(escape(line))


def as_json(graded: Graded) -> dict[str, Any]:
    """One submission as `--json` prints it. `format` changes when a key changes its meaning."""
    return {"format": 1, **asdict(graded)}


def as_json_plan(planned: Planned) -> dict[str, Any]:
    """One submission as `--dry-run --json` prints it."""
    submission = planned.submission
    return {"format": 1, "assignment": submission.assignment, "student": submission.student, "why": planned.why}


def _line(graded: Graded) -> str:
    colour = _COLOUR.get(graded.status, "red")
    return f"[{colour}]{graded.status}[/]  {escape(plain_line(graded.student))}  {escape(graded.sentence)}"


def _slowest(graded: Iterable[Graded]) -> list[str]:
    cells = [
        (notebook.slowest.seconds, f"{plain_line(each.student)}, {notebook.name}.ipynb, {notebook.slowest.cell}")
        for each in graded
        for notebook in each.notebooks
        if notebook.slowest is not None
    ]
    slow = [f"  {seconds:6.1f} s  {where}" for seconds, where in sorted(cells, reverse=True)[:3] if seconds >= 1]
    return ["slowest cells", *slow] if slow else []


def _next_steps(report: BatchReport) -> list[str]:
    again = "type the same command again: it goes on where it stopped"
    lines = []
    if report.halted:
        lines.append(report.halted)
    if report.remaining:
        lines.append(
            f"{_count(report.remaining, 'submission')} not graded yet; what is recorded stays. To go on, {again}."
        )
    noted = [each for each in report.graded if each.notes]
    for each in noted[:_AT_MOST]:
        lines.extend(f"{plain_line(each.student)}: {note}" for note in each.notes)
    if len(noted) > _AT_MOST:
        lines.append(f"… and {len(noted) - _AT_MOST} more with notes; --json has them all.")
    unfinished = [each for each in report.graded if not each.recorded]
    if unfinished:
        count = _count(len(unfinished), "submission")
        lines.append(f"{count} not graded: see the sentences above. Not graded is not zero: no grade stands for them.")
    by_hand = sum(bool(notebook.left_open) for each in report.graded for notebook in each.notebooks)
    if by_hand:
        lines.append(f"{_count(by_hand, 'notebook')} with cells left for grading by hand in formgrader")
    if any(each.recorded for each in report.graded) and not report.remaining:
        lines.append(f"next: nbgrader formgrader, nbgrader generate_feedback {report.assignment}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

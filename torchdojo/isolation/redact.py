"""What a learner reads of a checker's report: no line of a hidden test that their own code put into a message.

Nor anything that a terminal would obey: the report is shown there too.
"""

from __future__ import annotations

from dataclasses import replace

from torchdojo.checks import CheckReport, TestOutcome
from torchdojo.grade_cell import hidden_lines
from torchdojo.isolation.plain import plain

_LEFT_OUT = "(left out: it repeats a hidden test)"


def without_hidden(report: CheckReport, source: str) -> CheckReport:
    """The report without texts that hold a line of a hidden test of `source`, a grade cell.

    A probe runs in the student's process, so their code can look at it; with this no line of it is printed as it
    stands. Names and constants are: they are told by honest messages too (tests/attacks/reading has both).
    """
    lines = hidden_lines(source)
    return replace(report, outcomes=tuple(_cleaned(outcome, lines) for outcome in report.outcomes))


def _cleaned(outcome: TestOutcome, lines: frozenset[str]) -> TestOutcome:
    def clean(text: str) -> str:
        return _LEFT_OUT if text and any(line in text for line in lines) else plain(text)

    place = outcome.place
    return replace(
        outcome,
        message=clean(outcome.message),
        expected=clean(outcome.expected),
        got=clean(outcome.got),
        place=replace(place, text=clean(place.text)) if place is not None else None,
    )

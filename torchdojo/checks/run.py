"""Run one grade cell's tests under pytest: a session for it alone."""

from __future__ import annotations

from torchdojo.checks.gathered import OutcomeHook
from torchdojo.checks.outcome import CheckReport, TestOutcome, Verdict, score
from torchdojo.checks.session import SessionFailed, in_session
from torchdojo.checks.student import Student


def run_tests(
    source: str,
    student: Student,
    points: float,
    *,
    seed: int = 0,
    on_outcome: OutcomeHook | None = None,
) -> CheckReport:
    """Run every `test_*` function of `source` against `student`.

    Args:
        source: a grade cell, its last line `check(points=…)` included (that call is not made).
        student: what the fixture `student` gives to tests.
        points: what the cell is worth.
        seed: Python, NumPy and torch start from it before every test; their states are restored afterwards.
        on_outcome: called with a test function's name and None before it starts, and with its outcome as soon as it
            is known, so that a caller who must stop a test knows which.

    Raises:
        KeyboardInterrupt: the tests were interrupted. A fault of the tests themselves is an outcome, never an error.
    """
    try:
        return in_session(lambda session: session.run(source, student, points, seed=seed, on_outcome=on_outcome))
    except SessionFailed as error:
        outcomes = (TestOutcome("", "The tests of this cell", Verdict.GRADER_FAILED, message=str(error)),)
        return CheckReport(score(points, outcomes), float(points), outcomes)

"""Records of what tests said. Plain data that pickles; no rendering here."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """What came of one test. The four voices a learner hears, besides passed and skipped."""

    PASSED = "passed"
    WRONG = "wrong"
    RAISED = "raised"
    NOT_ATTEMPTED = "not attempted"
    SKIPPED = "skipped"
    NOT_RUN = "not run"
    GRADER_FAILED = "grader failed"


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the learner's own code: its number in its cell (from 1) and its text.

    `innermost`: the exception came from this line itself, not from something that it called.
    """

    line: int
    text: str
    innermost: bool = False


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """What came of one test function. With parametrize: of its first case that did not pass.

    `cases` holds one word per case for the fingerprint: "passed", "wrong", "raised ValueError", "skipped", …
    """

    __test__ = False  # not a test class, whatever its name

    name: str
    title: str
    verdict: Verdict
    weight: float = 1.0
    message: str = ""
    expected: str = ""
    got: str = ""
    exception: str = ""
    place: Place | None = None
    case: str = ""
    cases: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        return self.verdict is Verdict.PASSED


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What came of one grade cell: `points` earned of `max_points`, one outcome a test function, in source order."""

    points: float
    max_points: float
    outcomes: tuple[TestOutcome, ...]

    @property
    def passed(self) -> bool:
        return all(outcome.passed for outcome in self.outcomes)

    @property
    def fingerprint(self) -> tuple[tuple[str, ...], ...]:
        """The pattern of outcomes, case by case, by which a wrong idea is known again."""
        return tuple(outcome.cases for outcome in self.outcomes)


def score(points: float, outcomes: tuple[TestOutcome, ...]) -> float:
    """Points earned: the share of the weights that passed, to the hundredth.

    A test that failed by the grader's fault, or could not run for want of a GPU, is left out of both sums, so that it
    costs nothing. If nothing is left to judge, all points stand (an instructor is told, see `Verdict.GRADER_FAILED`).
    """
    judged = [o for o in outcomes if o.verdict not in (Verdict.GRADER_FAILED, Verdict.NOT_RUN)]
    total = sum(o.weight for o in judged)
    if not total:
        return float(points)
    earned = sum(o.weight for o in judged if o.passed)
    return float(points) if earned == total else round(points * earned / total, 2)

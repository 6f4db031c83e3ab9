"""The table: four voices, inert HTML, nothing by colour alone."""

from __future__ import annotations

import pytest

from torchdojo.checks import CheckReport, Place, TestOutcome, Verdict
from torchdojo.checks.table import as_html, as_text

VOICES = {
    Verdict.WRONG: "not yet right",
    Verdict.RAISED: "your code raised",
    Verdict.NOT_ATTEMPTED: "not attempted yet",
    Verdict.GRADER_FAILED: "the grader failed, not you",
}


@pytest.mark.parametrize(("verdict", "words"), VOICES.items())
def test_each_verdict_has_its_own_words(verdict: Verdict, words: str) -> None:
    """The voices differ in words, in text and in HTML, not by colour alone."""
    report = CheckReport(0.0, 1.0, (TestOutcome("test_a", "The rule.", verdict),))
    assert words in as_text(report)
    assert words in as_html(report)


def test_place_expected_and_got_are_told() -> None:
    """Line of the learner's code, expected, got: each on its own line."""
    outcome = TestOutcome(
        "test_a", "The rule.", Verdict.RAISED, message="ValueError: no", expected="1", got="2", place=Place(3, "x = y")
    )
    text = as_text(CheckReport(0.0, 1.0, (outcome,)))
    assert "at line 3 of your cell: x = y" in text
    assert "expected: 1" in text
    assert "got: 2" in text


def test_html_is_inert() -> None:
    """Whatever a learner's message holds, no tag of it survives."""
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    outcome = TestOutcome(
        "test_a", nasty, Verdict.WRONG, message=nasty, expected=nasty, got=nasty, place=Place(1, nasty)
    )
    html = as_html(CheckReport(0.0, 1.0, (outcome,)))
    assert "<script" not in html
    assert "<img" not in html


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ([Verdict.PASSED, Verdict.PASSED], "All 2 tests passed · 1 of 2 points"),
        ([Verdict.PASSED, Verdict.WRONG], "1 of 2 tests passed · 1 of 2 points"),
        ([Verdict.NOT_ATTEMPTED, Verdict.SKIPPED], "Not attempted yet · 1 of 2 points"),
    ],
)
def test_headline(verdicts: list[Verdict], headline: str) -> None:
    """The first line says how many passed and the points."""
    outcomes = tuple(TestOutcome(f"test_{i}", "Rule.", v) for i, v in enumerate(verdicts))
    assert as_text(CheckReport(1.0, 2.0, outcomes)).splitlines()[0] == headline

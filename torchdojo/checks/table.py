"""The table a learner reads: HTML for a notebook, plain text for a terminal. Rendering only."""

from __future__ import annotations

from html import escape

from torchdojo.checks.language import ENGLISH, Language
from torchdojo.checks.outcome import CheckReport, TestOutcome, Verdict

# Symbol, words, colour. The colours are JupyterLab's own variables, so that they fit the light and the dark theme;
# the words and symbols say the same without colour.
_VOICES = {
    Verdict.PASSED: ("✓", "passed", "var(--jp-success-color1, #2e7d32)"),
    Verdict.WRONG: ("✗", "not yet right", "var(--jp-error-color1, #c62828)"),
    Verdict.RAISED: ("⚡", "your code raised", "var(--jp-error-color1, #c62828)"),
    Verdict.NOT_ATTEMPTED: ("○", "not attempted yet", "var(--jp-ui-font-color2, #616161)"),
    Verdict.SKIPPED: ("–", "waits", "var(--jp-ui-font-color2, #616161)"),
    Verdict.NOT_RUN: ("–", "not run", "var(--jp-ui-font-color2, #616161)"),
    Verdict.GRADER_FAILED: ("!", "the grader failed, not you", "var(--jp-warn-color0, #8d5200)"),
}


def as_text(report: CheckReport, language: Language = ENGLISH) -> str:
    """The table as plain text, one test a line, details indented below it."""
    report = language.report(report)
    lines = [_headline(report, language)]
    for outcome in report.outcomes:
        symbol, words, _ = _VOICES[outcome.verdict]
        voice = "" if outcome.passed else f"  [{language.say(words)}]"
        lines.append(f"  {symbol} {outcome.title}{voice}")
        lines += [f"      {label}{text}" for label, text in _details(outcome, language)]
    return "\n".join(lines)


def as_html(report: CheckReport, language: Language = ENGLISH) -> str:
    """The table as HTML, inert (all text escaped, no script, no link), in the theme's own colours."""
    report = language.report(report)
    rows = "".join(_row(outcome, language) for outcome in report.outcomes)
    tongue = f' lang="{escape(language.code)}"' if language.code != ENGLISH.code else ""
    return (
        f'<div class="torchdojo-check"{tongue} style="font-family: var(--jp-ui-font-family, sans-serif); '
        'font-size: var(--jp-ui-font-size1, 13px); color: var(--jp-ui-font-color1, #212121)">'
        f'<p style="margin: 4px 0"><strong>{escape(_headline(report, language))}</strong></p>'
        '<table style="border-collapse: collapse; margin: 0; table-layout: auto">'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(outcome: TestOutcome, language: Language) -> str:
    symbol, words, colour = _VOICES[outcome.verdict]
    voice = escape(f"{symbol} {language.say(words)}")
    details = "".join(
        '<div style="margin-top: 2px; white-space: pre-wrap; overflow-wrap: anywhere">'
        f'<span style="color: var(--jp-ui-font-color2, #616161)">{escape(label)}</span>'
        f'<code style="color: inherit; background: none">{escape(text)}</code></div>'
        for label, text in _details(outcome, language)
    )
    cell = 'style="padding: 4px 10px 4px 0; text-align: left; vertical-align: top; border: none'
    return (
        '<tr style="border-top: 1px solid var(--jp-border-color2, #e0e0e0); background: none">'
        f'<td {cell}; color: {colour}; white-space: nowrap"><strong>{voice}</strong></td>'
        f'<td {cell}; max-width: 46em">{escape(outcome.title)}{details}</td></tr>'
    )


def _headline(report: CheckReport, language: Language) -> str:
    say, passed = language.say, sum(outcome.passed for outcome in report.outcomes)
    points = say("{earned} of {most} points", earned=f"{report.points:g}", most=f"{report.max_points:g}")
    if report.passed:
        if passed == 1:
            return say("The test passed · {points}", points=points)
        return say("All {passed} tests passed · {points}", passed=str(passed), points=points)
    if all(o.verdict in (Verdict.NOT_ATTEMPTED, Verdict.SKIPPED) for o in report.outcomes):
        return say("Not attempted yet · {points}", points=points)
    all_tests = str(len(report.outcomes))
    return say("{passed} of {all} tests passed · {points}", passed=str(passed), all=all_tests, points=points)


def _details(outcome: TestOutcome, language: Language) -> list[tuple[str, str]]:
    say, details = language.say, []
    if outcome.message:
        details.append(("", outcome.message))
    if outcome.place is not None:
        details.append((say("at line {line} of your cell: ", line=str(outcome.place.line)), outcome.place.text))
    if outcome.expected:
        details.append((say("expected: "), outcome.expected))
    if outcome.got:
        details.append((say("got: "), outcome.got))
    return details

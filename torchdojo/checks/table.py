"""The table a learner reads: HTML for a notebook, plain text for a terminal. Rendering only."""

from __future__ import annotations

from html import escape

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


def as_text(report: CheckReport) -> str:
    """The table as plain text, one test a line, details indented below it."""
    lines = [_headline(report)]
    for outcome in report.outcomes:
        symbol, words, _ = _VOICES[outcome.verdict]
        voice = "" if outcome.passed else f"  [{words}]"
        lines.append(f"  {symbol} {outcome.title}{voice}")
        lines += [f"      {label}{text}" for label, text in _details(outcome)]
    return "\n".join(lines)


def as_html(report: CheckReport) -> str:
    """The table as HTML, inert (all text escaped, no script, no link), in the theme's own colours."""
    rows = "".join(_row(outcome) for outcome in report.outcomes)
    return (
        '<div class="torchdojo-check" style="font-family: var(--jp-ui-font-family, sans-serif); '
        'font-size: var(--jp-ui-font-size1, 13px); color: var(--jp-ui-font-color1, #212121)">'
        f'<p style="margin: 4px 0"><strong>{escape(_headline(report))}</strong></p>'
        '<table style="border-collapse: collapse; margin: 0; table-layout: auto">'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(outcome: TestOutcome) -> str:
    symbol, words, colour = _VOICES[outcome.verdict]
    details = "".join(
        '<div style="margin-top: 2px; white-space: pre-wrap; overflow-wrap: anywhere">'
        f'<span style="color: var(--jp-ui-font-color2, #616161)">{escape(label)}</span>'
        f'<code style="color: inherit; background: none">{escape(text)}</code></div>'
        for label, text in _details(outcome)
    )
    cell = 'style="padding: 4px 10px 4px 0; text-align: left; vertical-align: top; border: none'
    return (
        '<tr style="border-top: 1px solid var(--jp-border-color2, #e0e0e0); background: none">'
        f'<td {cell}; color: {colour}; white-space: nowrap"><strong>{symbol} {escape(words)}</strong></td>'
        f'<td {cell}; max-width: 46em">{escape(outcome.title)}{details}</td></tr>'
    )


def _headline(report: CheckReport) -> str:
    passed = sum(outcome.passed for outcome in report.outcomes)
    points = f"{report.points:g} of {report.max_points:g} points"
    if report.passed:
        return f"All {passed} tests passed · {points}" if passed != 1 else f"The test passed · {points}"
    if all(o.verdict in (Verdict.NOT_ATTEMPTED, Verdict.SKIPPED) for o in report.outcomes):
        return f"Not attempted yet · {points}"
    return f"{passed} of {len(report.outcomes)} tests passed · {points}"


def _details(outcome: TestOutcome) -> list[tuple[str, str]]:
    details = []
    if outcome.message:
        details.append(("", outcome.message))
    if outcome.place is not None:
        details.append((f"at line {outcome.place.line} of your cell: ", outcome.place.text))
    if outcome.expected:
        details.append(("expected: ", outcome.expected))
    if outcome.got:
        details.append(("got: ", outcome.got))
    return details

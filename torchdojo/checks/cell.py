"""`check(points=…)`, the last line of a grade cell: run the cell's tests, show the table, return the points."""

from __future__ import annotations

import linecache
import sys
from pathlib import Path
from typing import Any

from torchdojo.checks.language import ENGLISH, Language, beside
from torchdojo.checks.outcome import CheckReport
from torchdojo.checks.run import run_tests
from torchdojo.checks.student import NamespaceStudent
from torchdojo.checks.table import as_html, as_text


def check(points: float) -> float:
    """Run the tests of the grade cell that calls this, show what came of them, and return the points earned.

    The cell's tests run under pytest in a namespace of their own; the learner's code is reached through the fixture
    `student`, here the notebook's namespace. Nothing is written to stderr: nbgrader takes that for an error.

    Returns:
        Points earned, in [0, points], a plain float: nbgrader reads it as partial credit.

    Raises:
        KeyboardInterrupt: the cell was interrupted. Nothing else.
    """
    frame = sys._getframe(1)
    source = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
    report = run_tests(source, NamespaceStudent(frame.f_globals), points)
    show(report, _language_here())
    return report.points


def show(report: CheckReport, language: Language = ENGLISH) -> None:
    """Display the table: HTML and text in a notebook, text in a terminal."""
    shell = _interactive_shell()
    if shell is None:
        print(as_text(report, language))
        return
    from IPython.display import display

    table = {"text/html": as_html(report, language), "text/plain": as_text(report, language)}
    display(table, raw=True)  # type: ignore[no-untyped-call]


def _language_here() -> Language:
    try:
        return beside(Path.cwd())
    except OSError:  # a learner's code may have removed the folder it runs in
        return ENGLISH


def _interactive_shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None

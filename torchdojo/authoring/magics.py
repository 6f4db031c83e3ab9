"""`%%misconception`, `%%solution`, `%%equivalent`, `%%hints`: run in a source notebook, they show who catches what."""

from __future__ import annotations

import sys
from typing import Any

from IPython.core.magic import Magics, cell_magic, magics_class

from torchdojo.authoring.scratch import scratch_student
from torchdojo.checks import run_tests
from torchdojo.checks.cell import show
from torchdojo.errors import AuthorError
from torchdojo.grade_cell import check_points, points_in_check
from torchdojo.notebook import parse_equivalents, parse_variant


@magics_class
class AuthorMagics(Magics):
    """The magics of a source notebook. Registered by `%load_ext torchdojo.authoring`."""

    @cell_magic
    def misconception(self, line: str, cell: str) -> None:
        """Apply the tests of the grade cell run last to a wrong solution."""
        self._try("misconception", line, cell)

    @cell_magic
    def solution(self, line: str, cell: str) -> None:
        """Apply the tests of the grade cell run last to another right solution."""
        self._try("solution", line, cell)

    @cell_magic
    def equivalent(self, line: str, cell: str) -> None:
        """Mutants that no test can kill, and why. Read only: `torchdojo verify --mutate` knows whether it is so."""
        try:
            parse_equivalents(f"%%equivalent {line}\n{cell}", "this cell")
        except AuthorError as error:
            print(error, file=sys.stderr)

    @cell_magic
    def hints(self, line: str, cell: str) -> None:
        """Three hints, from a nudge to nearly telling, one a line. Nothing to run."""

    def _try(self, kind: str, line: str, cell: str) -> None:
        try:
            variant = parse_variant(f"%%{kind} {line}\n{cell}", "this cell")
            tests = self._last_grade_cell()
        except AuthorError as error:
            print(error, file=sys.stderr)
            return
        student = scratch_student([variant.source], self._names())
        report = run_tests(tests, student, points_in_check(tests, "the grade cell"))
        show(report)
        failed = [o.name for o in report.outcomes if not o.passed]
        if kind == "solution":
            print("Refused: a right solution must pass." if failed else "Passes, as it should.")
        elif variant.caught_by in failed:
            print(f"Caught by {variant.caught_by}, as it says.")
        else:
            print(f"Not caught by {variant.caught_by}. Caught by: {', '.join(failed) or 'no test'}.")

    def _names(self) -> dict[str, Any]:
        assert self.shell is not None  # IPython sets it when it registers the magics
        names: dict[str, Any] = self.shell.user_ns
        return names

    def _last_grade_cell(self) -> str:
        for source in reversed(self._names().get("In", [])):
            if check_points(source) is not None:
                return str(source)
        raise AuthorError("No grade cell has run yet. Run the exercise's tests first, then this cell.")

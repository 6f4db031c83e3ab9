"""What a grade cell needs: `check`, the `student` fixture, pytest, and the table a learner reads.

Imports nothing of the coordinator's: it runs in a student's kernel.
"""

from torchdojo.checks.cell import check
from torchdojo.checks.outcome import CheckReport, Place, TestOutcome, Verdict
from torchdojo.checks.run import run_tests
from torchdojo.checks.student import NamespaceStudent, NotAttempted, Student, StudentLost

__all__ = [
    "CheckReport",
    "NamespaceStudent",
    "NotAttempted",
    "Place",
    "Student",
    "StudentLost",
    "TestOutcome",
    "Verdict",
    "check",
    "run_tests",
]

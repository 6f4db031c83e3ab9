"""The checker: runs a grade cell's tests in this process, which the student's code can neither read nor write."""

from __future__ import annotations

import socket

from torchdojo.checks import CheckReport, run_tests
from torchdojo.checks.run import OutcomeHook
from torchdojo.isolation.proxy import RemoteStudent


def check_isolated(
    source: str,
    points: float,
    control: socket.socket,
    *,
    seed: int = 0,
    call_timeout_s: float = 60.0,
    on_outcome: OutcomeHook | None = None,
) -> CheckReport:
    """Run the tests of a grade cell against the student's process at the other end of `control`.

    Args:
        source: the grade cell, from the gradebook, never from the submission.
        points: what the cell is worth.
        control: the other end is in `server.host`, in the student's process.
        seed: random numbers start from it before each test, on both sides.
        call_timeout_s: seconds one question to the student's code may take.
        on_outcome: as in `run_tests`.
    """

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [b"x"], [theirs.fileno()])
        return ours

    student = RemoteStudent(connect, call_timeout_s=call_timeout_s)
    try:
        return run_tests(source, student, points, seed=seed, on_outcome=on_outcome)
    finally:
        student.close()

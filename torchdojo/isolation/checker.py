"""The checker: runs a grade cell's tests in this process, which the student's code can neither read nor write."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import Any

from torchdojo.checks import CheckReport, TestOutcome, run_tests
from torchdojo.checks.run import OutcomeHook, test_names
from torchdojo.isolation.proxy import RemoteStudent


def check_isolated(
    source: str,
    points: float,
    control: socket.socket,
    *,
    seed: int = 0,
    budget_s: float = 60.0,
    on_outcome: OutcomeHook | None = None,
) -> CheckReport:
    """Run the tests of a grade cell against the student's process at the other end of `control`.

    Args:
        source: the grade cell, from the gradebook, never from the submission.
        points: what the cell is worth.
        control: the other end is in `server.host`, in the student's process.
        seed: random numbers start from it before each test, on both sides.
        budget_s: seconds that the student's code may take for all tests together.
        on_outcome: as in `run_tests`.
    """

    def connect() -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(control, [b"x"], [theirs.fileno()])
        return ours

    student = RemoteStudent(connect, budget_s=budget_s)
    try:
        return run_tests(source, student, points, seed=seed, on_outcome=on_outcome)
    finally:
        student.close()


def check_in_kernel(
    shell: Any, descriptors: list[int], *, source: str, points: float, seed: int, budget_s: float
) -> None:
    """As `check_isolated`, told to a runner. Called in the kernel beside the student's, see `judge`.

    Each reply takes the place of the one before: names of the tests, the one at work, outcomes so far, whether it is
    done.
    """
    tests = test_names(source)
    outcomes: dict[str, TestOutcome] = {}

    def tell(current: str, outcome: TestOutcome | None, *, done: bool = False) -> None:
        if outcome is not None:
            outcomes[current] = outcome
        told = [asdict(each) for each in outcomes.values()]
        reply = {"tests": tests, "current": current, "outcomes": told, "done": done}
        shell.kernel.outlet.publish("execute_reply", reply)

    with socket.socket(fileno=descriptors[0]) as control:
        report = check_isolated(
            source, points, control, seed=seed, budget_s=budget_s, on_outcome=lambda name, one: tell(name, one)
        )
    outcomes = {each.name: each for each in report.outcomes}
    tell("", None, done=True)

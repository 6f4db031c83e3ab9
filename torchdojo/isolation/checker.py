"""The checker: runs a grade cell's tests in this process, which the student's code can neither read nor write."""

from __future__ import annotations

import base64
import errno
import functools
import json
import marshal
import socket
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torchdojo.checks import CheckReport, TestOutcome, run_tests
from torchdojo.checks.compiled import test_names
from torchdojo.checks.gathered import OutcomeHook
from torchdojo.checks.session import OpenSession, in_session
from torchdojo.isolation import wire
from torchdojo.isolation.proxy import RemoteStudent

# A fork takes hundredths; a process that has not made one by then is stuck, or the machine is.
FORK_WITHIN_S = 10.0


class Line:
    """How a `RemoteStudent` gets a socket to the student's process, and to another one where that is gone.

    Args:
        control: the other end is in `server.host`, in the student's process.
        again: called, when no fork of that process answers, for `control` of another, in which the student's cells
            have run. Raises OSError where there is none to be had.
    """

    def __init__(self, control: socket.socket, again: Callable[[], socket.socket]) -> None:
        self._control = control
        self._again = again

    def connect(self) -> socket.socket:
        """A socket to a fork that is there. Raises OSError."""
        try:
            return self._forked()
        except OSError:
            self._control.close()
            self._control = self._again()
        return self._forked()

    def _forked(self) -> socket.socket:
        ours, theirs = wire.pair()
        try:
            with theirs:
                socket.send_fds(self._control, [b"x"], [theirs.fileno()])
            ours.settimeout(FORK_WITHIN_S)
            if not ours.recv(1):
                raise OSError(errno.ECONNRESET, "closed")
        except BaseException:
            ours.close()
            raise
        return ours

    def close(self) -> None:
        """Hang up."""
        self._control.close()


def _no_other() -> socket.socket:
    raise OSError(errno.ECONNRESET, "closed")


def check_isolated(
    source: str,
    points: float,
    control: socket.socket,
    *,
    seed: int = 0,
    budget_s: float = 60.0,
    again: Callable[[], socket.socket] = _no_other,
    on_outcome: OutcomeHook | None = None,
    run: Callable[..., CheckReport] = run_tests,
) -> CheckReport:
    """Run the tests of a grade cell against the student's process at the other end of `control`.

    Args:
        source: the grade cell, from the gradebook, never from the submission.
        points: what the cell is worth.
        control: see `Line`; closed at the end.
        seed: random numbers start from it before each test, on both sides.
        budget_s: seconds that the student's code may take for all tests together.
        again: see `Line`.
        on_outcome: as in `run_tests`.
        run: `run_tests`, or what does the same in a session that is open.
    """
    line = Line(control, again)
    student = RemoteStudent(line.connect, budget_s=budget_s)
    try:
        return run(source, student, points, seed=seed, on_outcome=on_outcome)
    finally:
        student.close()
        line.close()


def serve_checks(shell: Any, descriptors: list[int]) -> None:
    """Judge grade cells, one after the other, until the runner hangs up. Called in the kernel beside the student's.

    A request is a descriptor, the socket to the student's kernel, and a frame: JSON with `source`, `points`, `seed`,
    `budget_s` and `code` (what `compile_tests` made of the source, marshalled, in base 64, or nothing). It comes from
    the runner, which is trusted. Replies add up: `tests` are their names, `current` is the one at work,
    `outcome NAME` what came of one, `asked` is how often another process of the student's was asked for, `done` says
    that no more will come. What is asked for comes as a descriptor, or as a byte without one where there is none.
    """
    with socket.socket(fileno=descriptors[0]) as requests:
        in_session(lambda session: _serve(session, requests, shell.kernel.outlet))


def _serve(session: OpenSession, requests: socket.socket, outlet: Any) -> None:
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if not message:
            return
        (told,) = wire.receive(requests, max_bytes=2**32)
        request = json.loads(told)
        _check(session, request, socket.socket(fileno=descriptors[0]), requests, outlet)


def _check(
    session: OpenSession, request: dict[str, Any], control: socket.socket, requests: socket.socket, outlet: Any
) -> None:
    source = request["source"]
    code = marshal.loads(base64.b64decode(request["code"])) if request["code"] else None
    tests = test_names(source) if code is not None else []
    told: dict[str, TestOutcome | None] = {}
    asked = 0

    def tell(name: str, outcome: TestOutcome | None) -> None:
        told[name] = outcome
        outlet.publish("execute_reply", _told(outcome) if outcome is not None else {"current": name})

    def again() -> socket.socket:
        nonlocal asked
        asked += 1
        outlet.publish("execute_reply", {"asked": asked})
        _, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        return socket.socket(fileno=descriptors[0]) if descriptors else _no_other()

    outlet.publish("execute_reply", {"tests": tests})
    report = check_isolated(
        source,
        request["points"],
        control,
        seed=request["seed"],
        budget_s=request["budget_s"],
        again=again,
        on_outcome=tell,
        run=functools.partial(session.run, code=code),
    )
    last = [_told(each) for each in report.outcomes if told.get(each.name) != each]
    outlet.publish("execute_reply", {**{name: told for each in last for name, told in each.items()}, "done": True})


def _told(outcome: TestOutcome) -> dict[str, Any]:
    return {f"outcome {outcome.name}": asdict(outcome)}

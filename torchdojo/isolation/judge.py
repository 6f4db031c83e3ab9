"""Judges grade cells outside the student's process: what a `Runner` is given as `runner_of` to do so.

Two kernels of one job: the student's, where cells run and which answers questions, and one beside it, the checker,
where only the tests of grade cells run. Points come from the checker; nothing that the student's kernel puts out
meanwhile is kept.
"""

from __future__ import annotations

import base64
import functools
import json
import marshal
import math
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from torchdojo.checks import CheckReport, Place, TestOutcome, Verdict
from torchdojo.checks.compiled import compile_tests
from torchdojo.checks.gathered import name_in_words
from torchdojo.checks.language import ENGLISH, Language, language_of
from torchdojo.checks.outcome import score
from torchdojo.checks.table import as_html, as_text
from torchdojo.isolation import wire
from torchdojo.isolation.redact import without_hidden
from torchdojo.isolation.revival import revive, run_on
from torchdojo.kernels import watch
from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.drive import Turn, attend
from torchdojo.kernels.execute import Beside, CellRunner, Session, end_of_kernel, run_in_kernel
from torchdojo.kernels.job import CellResult, Stop

TESTS_OWN_S = 60.0  # what tests may take beside the student's code: they compute what they compare with
_HANG_UP_S = 5.0

# What a zygote imports for it.
MODULES = ("torchdojo.isolation.checker", "torchdojo.isolation.server")


def runner_of(session: Session, cell: CodeCell) -> CellRunner:
    """Grade cells that the job names go to a checker, all others to the kernel. Called by a `Runner` for each cell.

    A notebook without such grade cells is run as nbgrader runs it: with its kernel it ends.
    """
    if not session.job.isolated:
        return run_in_kernel
    return judge if cell.index in dict(session.job.isolated) else run_on


def judge(session: Session, cell: CodeCell, on_report: Callable[[CheckReport], None] | None = None) -> CellResult:
    """Run the tests of a grade cell in the checker, against the student's kernel as it is now.

    `on_report` is called once with what the outputs show, for who wants it as records; not where nothing was judged.

    Raises:
        ZygoteDied, KernelNotStarted
    """
    if session.kernel.gone:
        revive(session)
    if session.why_gone:
        return run_in_kernel(session, cell)  # which says that it cannot
    points = dict(session.job.isolated)[cell.index]
    start_s = time.monotonic()
    budget_s = max(min(session.job.limits.cell_timeout_s, session.until_s - start_s), 1.0)
    turn, stopped = _ask(session, cell, points, budget_s)
    if session.kernel.gone:
        end_of_kernel(session, session.kernel.turn)  # the next cell starts another
    seconds = time.monotonic() - start_s
    outcomes = _outcomes(turn.reply)
    if turn.reply is None or not (turn.reply.get("tests") or outcomes):
        why = turn.stop.sentence if turn.stop else "the process that runs the tests ended before the first of them"
        return CellResult(cell.index, seconds=seconds, judged_in_kernel=False, fault=f"could not be judged: {why}")
    report = without_hidden(_report(turn, outcomes, points), cell.source)
    if on_report is not None:
        on_report(report)
    faulty = next((each for each in report.outcomes if each.verdict is Verdict.GRADER_FAILED), None)
    return CellResult(
        cell.index,
        outputs=outputs_of(report, language_of(session.job.language, session.job.messages)),
        seconds=seconds,
        stop=stopped or _stop(report, session.job.limits.cell_timeout_s),
        judged_in_kernel=False,
        fault=f"could not be judged: {faulty.name or faulty.title} itself failed ({faulty.message})" if faulty else "",
    )


def _ask(session: Session, cell: CodeCell, points: float, budget_s: float) -> tuple[Turn, Stop | None]:
    """The checker's turn, once it has judged the cell or ended, and the limit that ended the student's kernel, if any.

    That kernel hosts until the checker hangs up, and another one after it where it ended.
    """
    checker = session.beside("torchdojo.isolation.checker:serve_checks")
    turn, patience_s = checker.turn, budget_s + TESTS_OWN_S
    turn.reply, turn.allowed_s, turn.deadline_s = None, patience_s, time.monotonic() + patience_s
    hosting, control = _host(session, cell, patience_s)
    request = {"source": cell.source, "points": points, "seed": session.job.seed, "budget_s": budget_s}
    _give(checker, control, {**request, "code": _compiled(cell.source)})
    given, stopped = 0, None
    while not turn.done and not _done(turn):
        attend([checker.kernel] if session.kernel.gone else [checker.kernel, session.kernel])
        stopped = stopped or _ended_by(hosting)
        if turn.reply and turn.reply.get("asked", 0) > given and not turn.done:
            given, start_s = given + 1, time.monotonic()
            if not session.kernel.gone:  # stuck, or its host has ended
                session.kernel.kill()
            control = None
            if revive(session):
                hosting, control = _host(session, cell, max(turn.deadline_s - start_s, 1.0))
            turn.deadline_s += time.monotonic() - start_s
            _give(checker, control)
    turn.deadline_s = math.inf
    if not _done(turn):
        checker.kernel.kill()  # so that the student's kernel hears of the end; the next cell gets another
    hosting.deadline_s = min(hosting.deadline_s, time.monotonic() + _HANG_UP_S)
    while not hosting.done:
        attend([session.kernel])
    return turn, stopped or _ended_by(hosting)


def _host(session: Session, cell: CodeCell, within_s: float) -> tuple[Turn, socket.socket]:
    """Have the student's kernel host its names: the turn, and the checker's end of `server.host`'s `control`."""
    ours, theirs = socket.socketpair()
    with theirs:
        host = {"do": "call", "function": "torchdojo.isolation.server:host_kernel", "arguments": {}}
        until_s = time.monotonic() + within_s + _HANG_UP_S
        turn = session.kernel.start_turn(cell.index, host, until_s, [theirs.fileno()], within_s + _HANG_UP_S)
    return turn, ours


def _give(checker: Beside, control: socket.socket | None, request: Mapping[str, Any] | None = None) -> None:
    """Send the checker what it awaits: `control`, if there is one, and a request where it begins with a cell."""
    with suppress(OSError, wire.Gone):  # it ended: its turn will say so
        if control is None:
            checker.channel.sendall(b"-")
        else:
            socket.send_fds(checker.channel, [b"x"], [control.fileno()])
        if request is not None:
            wire.send(checker.channel, [json.dumps(request).encode()])
    if control is not None:
        control.close()


def _ended_by(hosting: Turn) -> Stop | None:
    """The limit that ended the student's kernel while it hosted; not the time, which is the tests' to tell."""
    return None if hosting.stop is None or hosting.stop.limit.endswith("timeout_s") else hosting.stop


def _done(turn: Turn) -> bool:
    return bool(turn.reply and turn.reply.get("done"))


_one_compiles = threading.Lock()  # and the other runners take what came of it


def _compiled(source: str) -> str:
    """A cell's tests as marshalled code in base 64: compiled here, once, and not in a new process for every student.

    Nothing where they are no Python; the checker says what is wrong with them.
    """
    with _one_compiles:
        return _compiled_once(source)


@functools.lru_cache(maxsize=256)  # a class has the same tests
def _compiled_once(source: str) -> str:
    try:
        return base64.b64encode(marshal.dumps(compile_tests(source))).decode("ascii")
    except (SyntaxError, ValueError):
        return ""


# ------------------------------------------------------------------------------------------- what came of it


def _outcomes(reply: Mapping[str, Any] | None) -> dict[str, TestOutcome]:
    told = (each for field, each in (reply or {}).items() if field.startswith("outcome "))
    return {each["name"]: _outcome(each) for each in told}


def _report(turn: Turn, outcomes: dict[str, TestOutcome], points: float) -> CheckReport:
    """The checker's word as records. Tests that it was stopped at, or did not come to, count as not passed.

    Those of a checker that ended by itself are the grader's fault, so that no student gets a zero for it.
    """
    reply = turn.reply or {}
    for name in () if _done(turn) else reply["tests"]:
        if name in outcomes:
            continue
        if turn.stop is None:
            message = "The process that runs the tests ended before this one did."
            outcomes[name] = TestOutcome(name, name_in_words(name), Verdict.GRADER_FAILED, message=message)
        elif name == reply.get("current"):
            message = "What your code gave back kept this test busy until it was stopped."
            outcomes[name] = TestOutcome(name, name_in_words(name), Verdict.WRONG, message=message)
        else:
            message = "It did not run: the test before it did not come to an end."
            outcomes[name] = TestOutcome(name, name_in_words(name), Verdict.SKIPPED, message=message)
    in_order = [outcomes.pop(name) for name in reply["tests"] if name in outcomes]
    ordered = (*in_order, *outcomes.values())
    return CheckReport(score(points, ordered), points, ordered)


def _outcome(fields: Mapping[str, Any]) -> TestOutcome:
    place = fields["place"]
    return TestOutcome(
        **{
            **fields,
            "verdict": Verdict(fields["verdict"]),
            "place": Place(**place) if place else None,
            "cases": tuple(fields["cases"]),
        }
    )


def outputs_of(report: CheckReport, language: Language = ENGLISH) -> tuple[dict[str, Any], ...]:
    """What `check` shows and returns in a kernel, as outputs of a cell."""
    table = {"text/html": as_html(report, language), "text/plain": as_text(report, language)}
    value = {"text/plain": repr(float(report.points))}
    return (
        {"output_type": "display_data", "data": table, "metadata": {}},
        {"output_type": "execute_result", "data": value, "metadata": {}, "execution_count": None},
    )


def _stop(report: CheckReport, allowed_s: float) -> Stop | None:
    stuck: Sequence[TestOutcome] = [each for each in report.outcomes if each.exception == "StudentStuck"]
    if not stuck:
        return None
    return replace(watch.stop("cell_timeout_s", allowed_s, allowed_s), sentence=f"{stuck[0].name}: {stuck[0].message}")


__all__ = ["MODULES", "judge", "outputs_of", "runner_of"]

"""From an exception to one of the four voices: not attempted, wrong, your code raised, grader failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, TracebackType
from typing import Any

import pytest

from torchdojo.checks.outcome import Place, Verdict
from torchdojo.checks.student import NotAttempted, Student, StudentLost
from torchdojo.checks.values import describe

_MESSAGE_CHARS = 400
_DID_NOT_RAISE = re.compile(r"DID NOT RAISE (?:any of )?\(?(?:<class ')?(?:\w+\.)*(\w+)")
_OPERATORS = {
    "==": "{value}",
    "!=": "anything but {value}",
    "<": "less than {value}",
    "<=": "at most {value}",
    ">": "more than {value}",
    ">=": "at least {value}",
    "in": "one of {value}",
    "not in": "none of {value}",
    "is": "{value}",
    "is not": "anything but {value}",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """The last comparison that an assertion of the test found false: `assert got <op> expected`."""

    op: str
    got: Any
    expected: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of one case of a test, ready for a learner to read."""

    verdict: Verdict
    message: str = ""
    expected: str = ""
    got: str = ""
    exception: str = ""
    place: Place | None = None

    @property
    def word(self) -> str:
        """One word for the fingerprint."""
        return f"raised {self.exception}" if self.verdict is Verdict.RAISED else str(self.verdict)


def explain(
    excinfo: pytest.ExceptionInfo[BaseException],
    student: Student,
    module: ModuleType | None,
    comparison: Comparison | None = None,
) -> Failure:
    """Say whose fault an exception is, and what to tell the learner.

    Args:
        excinfo: as pytest caught it, from a test's setup, call or teardown.
        student: knows which frames are the learner's.
        module: the grade cell's; its own NameError or ImportError is the grader's fault.
        comparison: the assertion's, when the test compared plainly.
    """
    error, traceback = excinfo.value, excinfo.tb
    place = student.place_of(error, traceback)
    if isinstance(error, NotAttempted):
        name = error.args[0]
        return Failure(
            Verdict.NOT_ATTEMPTED,
            message=f"There is no {name} yet. Run the cell that defines it; if that cell ends in an error, mend that.",
        )
    if type(error) is NotImplementedError and not error.args and place is not None:
        return Failure(Verdict.NOT_ATTEMPTED, message="Replace raise NotImplementedError() by your own code.")
    if isinstance(error, StudentLost):
        return Failure(Verdict.RAISED, message=_short(str(error)), exception=type(error).__name__)
    frames = list(_frames(traceback))
    last_is_test = bool(frames) and module is not None and frames[-1].tb_frame.f_globals is vars(module)
    if isinstance(error, pytest.skip.Exception) and place is None:
        return Failure(Verdict.NOT_RUN, message=_first_line(error))
    if isinstance(error, pytest.fail.Exception) and place is None:
        return _wrong_by_pytest(error)
    if isinstance(error, AssertionError) and (place is None or not place.innermost):
        return _wrong(error, frames, comparison)
    if place is not None:
        name = type(error).__name__
        return Failure(Verdict.RAISED, message=_said(error), exception=name, place=place)
    if (last_is_test and isinstance(error, NameError | ImportError)) or not any(
        module is not None and t.tb_frame.f_globals is vars(module) for t in frames
    ):
        return Failure(Verdict.GRADER_FAILED, message=_said(error))
    return Failure(Verdict.WRONG, message=f"What came back could not be used: {_said(error)}")


def _wrong(error: AssertionError, frames: list[TracebackType], comparison: Comparison | None) -> Failure:
    text = str(error)
    pair = _compared_by_library(frames)
    if pair is not None:
        expected, got = (describe(value) for value in pair)
        message = "" if _shape(pair[0]) != _shape(pair[1]) else _advice_of_library(text)
        return Failure(Verdict.WRONG, message=message, expected=expected, got=got)
    if text.startswith("Regex pattern did not match"):
        got = text.rpartition("Actual message:")[2].strip() or text
        return Failure(Verdict.WRONG, message="The error's message does not name what it should.", got=_short(got))
    own, _, rewritten = text.partition("assert ")
    own = own.strip()
    if comparison is not None and comparison.op in _OPERATORS:
        expected = _OPERATORS[comparison.op].format(value=describe(comparison.expected))
        return Failure(Verdict.WRONG, message=_short(own), expected=expected, got=describe(comparison.got))
    return Failure(Verdict.WRONG, message=_short(own or ("" if "(" in rewritten else rewritten.splitlines()[0])))


def _wrong_by_pytest(error: BaseException) -> Failure:
    text = str(error)
    match = _DID_NOT_RAISE.search(text)
    if match:
        return Failure(Verdict.WRONG, expected=f"{match[1]} to be raised", got="no exception")
    return Failure(Verdict.WRONG, message=_short(text))


def _compared_by_library(frames: list[TracebackType]) -> tuple[Any, Any] | None:
    """(expected, got) of a failed torch.testing.assert_close or numpy.testing.assert_*."""
    for traceback in frames:
        code, names = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
        if code.co_name.startswith("assert_") and "actual" in names:
            if "expected" in names:
                return names["expected"], names["actual"]
            if "desired" in names:
                return names["desired"], names["actual"]
    return None


def _advice_of_library(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    kept = [line for line in lines if line.startswith(("Mismatched elements", "Max absolute", "Greatest absolute"))]
    return _short("; ".join(kept))


def _shape(value: Any) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    return tuple(shape) if shape is not None else None


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception as broken:  # a learner's exception may raise in its own __str__
        text = f"(its message could not be read: {type(broken).__name__})"
    name = type(error).__name__
    return _short(f"{name}: {text}" if text else name)


def _first_line(error: BaseException) -> str:
    return _short(str(error).splitlines()[0] if str(error) else "")


def _short(text: str) -> str:
    return text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"

"""Whatever the student's process answers, the grader is not at fault, and only a value or an error comes of it."""

from __future__ import annotations

import builtins
import socket
import threading
from typing import Any

import msgpack
import pytest

from torchdojo.checks import CheckReport, Verdict
from torchdojo.isolation import values, wire
from torchdojo.isolation.checker import check_isolated

TESTS = """
import pytest

def test_value(student):
    assert student.answer(1) == 1

def test_error(student):
    with pytest.raises(ZeroDivisionError):
        student.answer(2)

check(points=2)
"""


def _answering(answer: bytes | list[bytes | memoryview]) -> CheckReport:
    """Check against a process that answers every question so."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        while True:
            message, descriptors, _, _ = socket.recv_fds(theirs, 1, 1)
            if not message:
                return
            with socket.socket(fileno=descriptors[0]) as line:
                line.sendall(b"x")
                try:
                    while True:
                        wire.receive(line, max_bytes=2**20)
                        wire.send(line, answer if isinstance(answer, list) else [answer])
                except wire.Gone:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with ours:
            return check_isolated(TESTS, 2, ours, budget_s=20)
    finally:
        thread.join()
        theirs.close()


def _error(kind: str, bare: bool) -> bytes:
    return values.encode(["error", [kind, kind, "m", bare, 1, "x", True]], None)


CLASSES = {name: kind for name, kind in vars(builtins).items() if isinstance(kind, type)}
KINDS = sorted(name for name, kind in CLASSES.items() if issubclass(kind, BaseException))


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("kind", [*KINDS, "Skipped", "object", "__import__", ""])
def test_every_class_of_error_is_the_students(kind: str, bare: bool) -> None:
    """It earns nothing but where it is the error that is asked for, and is never told as a fault of the grader."""
    report = _answering(_error(kind, bare))
    verdicts = [outcome.verdict for outcome in report.outcomes]
    assert report.points == (1 if kind == "ZeroDivisionError" else 0)
    assert Verdict.GRADER_FAILED not in verdicts
    assert Verdict.NOT_RUN not in verdicts


@pytest.mark.parametrize(
    "answer",
    [b"", b"\xc1", b"\x90", values.encode(["?", 1], None), values.encode(["error", [1]], None)],
    ids=["nothing", "no message", "no pair", "neither", "half an error"],
)
def test_an_answer_that_is_none_is_the_students(answer: bytes) -> None:
    """Tests that the grader failed at are left out of the sum: that must not be had by breaking the protocol."""
    report = _answering(answer)
    assert report.points == 0
    assert [outcome.verdict for outcome in report.outcomes] == [Verdict.RAISED] * 2


ODD_DTYPES = ["|O8", "<i4,O", "O", "|V8", "<U4", "|S9", "<M8", "<i4,<i4", "b1", "|b1", "<i3", "<f9"]


@pytest.mark.parametrize("code", [values._ARRAY, values._SCALAR])
@pytest.mark.parametrize("dtype", ODD_DTYPES)
def test_no_other_dtype_comes_in(dtype: str, code: int) -> None:
    """Neither objects nor records, nor a bool that is neither true nor false."""
    fields = [dtype, [1], b"\2" * 8] if code == values._ARRAY else [dtype, b"\2"]
    with pytest.raises(values.Malformed):
        values.decode([bytes(msgpack.packb(["ok", msgpack.ExtType(code, msgpack.packb(fields))]))], None)


@pytest.mark.parametrize("kind", [set, frozenset, dict.fromkeys])
def test_keys_that_collide_are_refused(kind: Any) -> None:
    """A table of 100,000 numbers of one hash takes minutes, and the checker would be busy with it."""
    keys = [(2**61 - 1) * number for number in range(300)]
    honest = values.encode(["ok", kind([*range(1000), *keys])], None)
    assert len(values.decode(honest, None)[1]) == 1299
    packed = [msgpack.ExtType(values._INT, msgpack.packb(hex((2**61 - 1) * number))) for number in range(100_000)]
    code = {set: values._SET, frozenset: values._FROZENSET}.get(kind, values._DICT)
    fields = [[key, None] for key in packed] if code == values._DICT else packed
    with pytest.raises(values.Malformed, match="same few hashes"):
        values.decode([bytes(msgpack.packb(["ok", msgpack.ExtType(code, msgpack.packb(fields))]))], None)

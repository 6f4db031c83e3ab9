"""The student's side: answers a checker's questions about one student's namespace.

Runs beside hostile code, so nothing here is believed by anybody; it is here for honest students to be answered rightly.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from types import TracebackType
from typing import Any

from torchdojo.checks import NamespaceStudent, NotAttempted, Place
from torchdojo.isolation import wire
from torchdojo.isolation.values import HandleInfo, NotAValue, encode, tensor_of

# What pickle looks up while a question is unpickled.
_objects: dict[int, Any] = {}  # by handle number
_parts: list[bytearray] = []  # of the question


def resolve(number: int) -> Any:
    """The object a handle stands for. Called by pickle when a checker sends a handle back as an argument."""
    return _objects[number]


def tensor_of_part(name: str, shape: tuple[int, ...], requires_grad: bool, number: int) -> Any:
    """A large tensor, whose memory came apart from the question; that memory becomes its own. Called by pickle."""
    return tensor_of(name, shape, requires_grad, _parts[number - 1])


def serve(sock: socket.socket, student: NamespaceStudent) -> None:
    """Answer questions until the checker closes its end.

    A question is a pickle of (operation, arguments, seed): trusted to untrusted, so pickle may be used this way round.
    An answer is a frame that `values.decode` reads.
    """
    _objects.clear()
    while True:
        try:
            question, *_parts[:] = wire.receive(sock, max_bytes=2**33)
            operation, arguments, seed = pickle.loads(question)
        except wire.Gone:
            return
        except Exception as error:  # a class of the test's that cannot be built here
            wire.send(sock, _error(error, error.__traceback__, student))
            continue
        if seed is not None:  # the first question of a test
            student.seed(seed)
        wire.send(sock, _answer(operation, arguments, student))


def host_kernel(shell: Any, descriptors: list[int]) -> None:
    """Host the names of a kernel, until the checker hangs up. Called in a kernel, see `drive.Kernel.start_turn`."""
    control = socket.socket(fileno=descriptors[0])
    with control:
        host(control, NamespaceStudent(shell.user_ns))


def host(control: socket.socket, student: NamespaceStudent) -> None:
    """Serve `student` from a fork of this process for each socket that comes over `control`, until it is closed.

    A fork, so that the next test finds the learner's code as it was when the last one crashed or hung. It sends a byte
    first: then the checker knows that the process it was forked from is there.
    """
    child = 0
    try:
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, 1, 1)
            _end(child)  # a checker asks one process at a time: it has given up on this one
            if not message:
                return
            child = os.fork()
            if child == 0:
                control.close()
                _silence()
                with suppress(BaseException):
                    sock = socket.socket(fileno=descriptors[0])
                    sock.sendall(b"x")
                    serve(sock, student)
                os._exit(0)
            os.close(descriptors[0])
    finally:
        _end(child)


def _end(child: int) -> None:
    if child:
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(child, 0)


def _silence() -> None:
    """Point stdout and stderr at nothing: what a learner's code prints while tests call it is nobody's."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (for as long as the process lives)


def _answer(operation: str, arguments: tuple[Any, ...], student: NamespaceStudent) -> list[bytes | memoryview]:
    try:
        value = _OPERATIONS[operation](student, *arguments)
        return encode(["ok", value], None if operation == "run" else _keep)
    except BaseException as error:
        return _error(error, error.__traceback__, student)


def _keep(value: Any) -> HandleInfo:
    number = len(_objects) + 1
    _objects[number] = value
    kind = type(value)
    return HandleInfo(
        number,
        str(getattr(value, "__name__", None) or kind.__name__)[:100],
        sized=hasattr(kind, "__len__"),
        iterable=hasattr(kind, "__iter__"),
        indexable=hasattr(kind, "__getitem__"),
        callable=callable(value),
    )


def _get(student: NamespaceStudent, name: str) -> Any:
    try:
        return [True, getattr(student, name)]
    except NotAttempted:
        return [False, None]


_OPERATIONS: dict[str, Any] = {
    "get": _get,
    "call": lambda _, function, args, kwargs: function(*args, **kwargs),
    "getattr": lambda _, owner, name: getattr(owner, name),
    "getitem": lambda _, owner, key: owner[key],
    "len": lambda _, owner: len(owner),
    "iter": lambda _, owner: _Kept(iter(owner)),
    "next": lambda _, iterator: next(iterator.inner),
    "run": lambda _, probe, args: probe(*args),
}


class _Kept:
    """Wraps an iterator, so that it stays here even when it is a list's (and no value is made of it)."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner


def _error(
    error: BaseException, traceback: TracebackType | None, student: NamespaceStudent
) -> list[bytes | memoryview]:
    """An exception as plain values: built-in class, message, own class, the learner's line."""
    kind = next(c for c in type(error).__mro__ if c.__module__ == "builtins")
    try:
        message = str(error)
    except Exception as broken:
        message = f"(its message could not be read: {type(broken).__name__})"
    place = student.place_of(error, traceback) or Place(0, "")
    bare = not error.args
    if isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str):
        message = error.args[0]
    if isinstance(error, NotAValue):  # not raised by their code, and no answer to a test that expects an error
        kind = RuntimeError
    fields = [
        kind.__name__,
        type(error).__name__[:100],
        message[:20_000],
        bare,
        place.line,
        place.text[:400],
        place.innermost,
    ]
    return encode(["error", fields], None)

"""The checker's side: a `student` whose code lives in another process, and handles to what stays there."""

from __future__ import annotations

import builtins
import socket
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from torchdojo.checks import NotAttempted, Place, StudentLost
from torchdojo.isolation import wire
from torchdojo.isolation.sending import pickled
from torchdojo.isolation.server import resolve
from torchdojo.isolation.values import MAX_BYTES, HandleInfo, Malformed, NotAValue, decode

_BUILTIN = {
    name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)
}


class StudentDied(StudentLost):
    """The student's process ended while it was asked."""


class StudentStuck(StudentLost):
    """The student's process did not answer in time."""


class RemoteStudent:
    """The learner's code in another process, at the other end of `connect()`.

    Args:
        connect: called by this class for a socket to a process that serves the learner's namespace: at first use, and
            again after one died or was stuck, so that one crash costs one test. The time it takes is nobody's.
        budget_s: seconds that all questions together may take, from now on. One question may take half of what is
            left, so that what hangs costs its own test and the tests after it still get an answer.
    """

    def __init__(self, connect: Callable[[], socket.socket], *, budget_s: float) -> None:
        self._connect = connect
        self._budget_s = budget_s
        self._until_s = time.monotonic() + budget_s
        self._sock: socket.socket | None = None
        self._generation = 0
        self._seed, self._seeded = 0, False  # it travels with the next question

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found, value = self._ask("get", name)
        if not found:
            raise NotAttempted(name)
        return value

    def run(self, probe: Callable[..., Any], /, *args: Any) -> Any:
        return self._ask("run", probe, args)

    def seed(self, seed: int) -> None:
        self._seed, self._seeded = seed, False

    def place_of(self, error: BaseException, traceback: TracebackType | None) -> Place | None:
        place = getattr(error, "_torchdojo_place", None)
        return place if isinstance(place, Place) else None

    def close(self) -> None:
        """Hang up. The process at the other end ends by itself."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _ask(self, operation: str, *arguments: Any) -> Any:
        if self._sock is None:
            self._seeded = False
        question = pickled((operation, arguments, None if self._seeded else self._seed))
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            self.close()
            raise StudentStuck(f"Your code had used up the {self._budget_s:g} s that all tests of a cell may take.")
        if self._sock is None:
            start_s = time.monotonic()
            self._sock = self._connected()
            self._until_s += time.monotonic() - start_s
        deadline = time.monotonic() + left_s / 2
        try:
            wire.send(self._sock, question, deadline)
            self._seeded = True
            parts = wire.receive(self._sock, max_bytes=MAX_BYTES, deadline=deadline)
        except wire.TooLong as malformed:
            self.close()
            raise StudentDied(f"What came back could not be read: {malformed}") from None
        except wire.Gone:
            self.close()
            raise StudentDied(
                "Your code ended its own process here. Look for exit(), os._exit(), or what uses up all memory."
            ) from None
        except wire.Late:
            self.close()
            raise StudentStuck(
                f"Your code did not answer within {left_s / 2:.0f} s, half of what was left of {self._budget_s:g} s."
            ) from None
        return self._understood(parts)

    def _connected(self) -> socket.socket:
        self._generation += 1
        try:
            return self._connect()
        except OSError:
            raise StudentDied("The process of your code had ended before, and could not be started again.") from None

    def _understood(self, parts: list[bytearray]) -> Any:
        try:
            answer = decode(parts, self._handle)
            if type(answer) is not list or len(answer) != 2 or answer[0] not in ("ok", "error"):
                raise Malformed("neither a value nor an error")
            kind, content = answer
            if kind == "ok":
                return content
            error = _rebuilt(content)
        except Malformed as malformed:
            self.close()
            raise StudentDied(f"What came back could not be read: {malformed}") from None
        raise error

    def _handle(self, info: HandleInfo) -> Handle:
        return Handle(self, self._generation, info)


class Handle:
    """An object that stays in the student's process: call it, ask for attributes, items, its length, iterate."""

    __slots__ = ("_generation", "_info", "_student")

    def __init__(self, student: RemoteStudent, generation: int, info: HandleInfo) -> None:
        object.__setattr__(self, "_student", student)
        object.__setattr__(self, "_generation", generation)
        object.__setattr__(self, "_info", info)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._student._ask("call", self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name != "__name__":
            raise AttributeError(name)
        return self._student._ask("getattr", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        raise TypeError(
            f"{name} of a {self._info.type_name} cannot be set from a test: it lives in the student's process. "
            "Do it in student.run(probe, …)."
        )

    def __getitem__(self, key: Any) -> Any:
        return self._student._ask("getitem", self, key)

    def __len__(self) -> int:
        length = self._student._ask("len", self)
        if type(length) is not int or length < 0:
            raise TypeError(f"len() of a {self._info.type_name} gave {length!r}")
        return length

    def __bool__(self) -> bool:
        return bool(len(self)) if self._info.sized else True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._student._ask("iter", self)
        while True:
            try:
                item = self._student._ask("next", iterator)
            except StopIteration:
                return
            yield item

    def __repr__(self) -> str:
        return f"<{self._info.type_name} in the student's process>"

    def __reduce__(self) -> Any:
        if self._generation != self._student._generation:
            raise StudentDied("The process that held this object has ended.")
        return resolve, (self._info.number,)


def _rebuilt(content: Any) -> BaseException:
    """The exception that the student's side told of: of the same built-in class, or RuntimeError."""
    shape = [str, str, str, bool, int, str, bool]
    if type(content) is not list or [type(field) for field in content] != shape:
        raise Malformed("an error that is none")
    kind, own, message, bare, line, text, innermost = content
    error = _BUILTIN.get(kind, RuntimeError)
    if error not in _BUILTIN.values() or kind not in _BUILTIN or issubclass(error, UnicodeError):
        message, error = f"{own}: {message}", RuntimeError
    elif own != kind and not message.startswith(own):
        message = f"{own}: {message}" if own else message
    rebuilt: BaseException = error() if bare else error(message)
    if line > 0:
        object.__setattr__(rebuilt, "_torchdojo_place", Place(line, text, innermost))
    return rebuilt


__all__ = ["Handle", "NotAValue", "RemoteStudent", "StudentDied", "StudentStuck"]

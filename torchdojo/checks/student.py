"""The `student` fixture: the only way from a test to the learner's code.

`NamespaceStudent` serves a notebook's own namespace. Another class with the same three methods can serve another
process; no test knows the difference.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

from torchdojo.checks.outcome import Place
from torchdojo.checks.seeds import seed_everything


class NotAttempted(Exception):
    """The learner has not defined what the test asks for."""


class StudentLost(Exception):
    """The process that runs the learner's code ended, hung, or answered nonsense. The learner's failed test."""


class Student(Protocol):
    """What a test may do with the learner's code, wherever it runs."""

    def __getattr__(self, name: str) -> Any:
        """What the learner defined as `name`. Called by tests. Raises NotAttempted when there is nothing."""

    def run(self, probe: Callable[..., Any], /, *args: Any) -> Any:
        """`probe(*args)`, evaluated where the learner's code lives. Called by tests; returns a value."""

    def seed(self, seed: int) -> None:
        """Start random numbers from `seed` where the learner's code lives. Called before each test."""

    def place_of(self, error: BaseException, traceback: TracebackType | None) -> Place | None:
        """The innermost line of the learner's code that `error` went through. Called by the runner of tests."""


class NamespaceStudent:
    """The learner's code in a namespace of this process: a notebook's, or a scratch copy of it.

    Frames whose globals are `namespace`, or one of `also_owned`, are the learner's.
    """

    def __init__(self, namespace: dict[str, Any], *also_owned: dict[str, Any]) -> None:
        self._namespace = namespace
        self._owned = (namespace, *also_owned)

    def __getattr__(self, name: str) -> Any:
        try:
            return self._namespace[name]
        except KeyError:
            raise NotAttempted(name) from None

    def run(self, probe: Callable[..., Any], /, *args: Any) -> Any:
        return probe(*args)

    def seed(self, seed: int) -> None:
        seed_everything(seed)

    def place_of(self, error: BaseException, traceback: TracebackType | None) -> Place | None:
        place = None
        while traceback is not None:
            if any(traceback.tb_frame.f_globals is namespace for namespace in self._owned):
                filename, line = traceback.tb_frame.f_code.co_filename, traceback.tb_lineno
                text = linecache.getline(filename, line).strip()
                place = Place(line, text, innermost=traceback.tb_next is None)
            traceback = traceback.tb_next
        return place

"""A student who computes nothing: every call and every probe is answered with a likely constant, or an error.

It must earn nothing in any exercise. Where it does, a test's answer can be guessed, so it must depend on one by value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from torchdojo.checks import Place

Answer = Callable[[tuple[Any, ...]], Any]


def _tensor_like(make: str) -> Answer:
    def answer(args: tuple[Any, ...]) -> Any:
        import torch

        first = next((arg for arg in args if isinstance(arg, torch.Tensor)), torch.zeros(1))
        return getattr(torch, make)(first)

    return answer


def _raise(kind: type[Exception]) -> Answer:
    def answer(args: tuple[Any, ...]) -> Any:
        shapes = [tuple(arg.shape) for arg in args if hasattr(arg, "shape")]
        raise kind(f"{shapes} {args}"[:2000])

    return answer


def _constant(value: Any) -> Answer:
    return lambda args: value


ANSWERS: dict[str, Answer] = {
    "True": _constant(True),
    "False": _constant(False),
    "None": _constant(None),
    "0": _constant(0),
    "1": _constant(1),
    "0.0": _constant(0.0),
    "1.0": _constant(1.0),
    "an empty text": _constant(""),
    "an empty list": _constant([]),
    "an empty tuple": _constant(()),
    "an empty dict": _constant({}),
    "(True, True)": _constant((True, True)),
    "(None, None)": _constant((None, None)),
    "(0, 0)": _constant((0, 0)),
    "(1, 1)": _constant((1, 1)),
    "the first argument back": lambda args: args[0] if args else None,
    "the last argument back": lambda args: args[-1] if args else None,
    "the arguments back": lambda args: args,
    "zeros of the argument's shape": _tensor_like("zeros_like"),
    "ones of the argument's shape": _tensor_like("ones_like"),
    "ValueError": _raise(ValueError),
    "KeyError": _raise(KeyError),
    "IndexError": _raise(IndexError),
    "RuntimeError": _raise(RuntimeError),
}


class Guesser:
    """A `student` whose every name is a function that answers; with `objects`, a class of such functions."""

    def __init__(self, answer: Answer, *, objects: bool) -> None:
        self._answer = answer
        self._objects = objects

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Thing(self._answer, self._objects)

    def run(self, probe: Callable[..., Any], /, *args: Any) -> Any:
        """A lie: the probe is not run."""
        return self._answer(args)

    def seed(self, seed: int) -> None:
        """Nothing here is random."""

    def place_of(self, error: BaseException, traceback: TracebackType | None) -> Place | None:
        return None


class _Thing:
    """A function, or a class and its object: called, indexed, asked for attributes, it answers."""

    def __init__(self, answer: Answer, makes_objects: bool) -> None:
        self._answer = answer
        self._makes_objects = makes_objects

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._makes_objects:
            return _Thing(self._answer, False)
        return self._answer((*args, *kwargs.values()))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._answer(())

    def __getitem__(self, key: Any) -> Any:
        return self._answer((key,))

    def __len__(self) -> int:
        value = self._answer(())
        return value if isinstance(value, int) else 0

    def __iter__(self) -> Iterator[Any]:
        return iter(())

"""One line about a value, shapes first, never longer than a learner reads."""

from __future__ import annotations

import sys
from typing import Any

_CHARS = 240
_ELEMENTS = 64
_DIGITS = 7  # what float32 holds


def describe(value: Any) -> str:
    """`value` in one line: a tensor's shape and dtype before its numbers, anything else by its repr, cut to length."""
    try:
        torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
        if torch is not None and isinstance(value, torch.Tensor):
            return _array("tensor", value.shape, str(value.dtype).removeprefix("torch."), _numbers(value))
        if numpy is not None and isinstance(value, numpy.ndarray):
            return _array("array", value.shape, str(value.dtype), value.tolist() if value.size <= _ELEMENTS else None)
        if type(value) is float and len(repr(value)) > _DIGITS:
            return f"{value:.{_DIGITS}g}"
        return _cut(repr(value))
    except Exception as error:  # a learner's object may raise in its own __repr__ or shape
        return f"an object of type {type(value).__name__} (its repr raised {type(error).__name__})"


def _numbers(tensor: Any) -> Any:
    if tensor.numel() > _ELEMENTS or tensor.device.type == "meta":
        return None
    return tensor.detach().cpu().tolist()


def _array(kind: str, shape: Any, dtype: str, numbers: Any) -> str:
    sizes = str(tuple(shape))[1:-1]
    head = f"{kind} of shape ({sizes}), {dtype}"
    return head if numbers is None else _cut(f"{head}: {_rounded(numbers)}")


def _rounded(numbers: Any) -> str:
    if isinstance(numbers, list):
        return "[" + ", ".join(_rounded(n) for n in numbers) + "]"
    return f"{numbers:.6g}" if isinstance(numbers, float) else repr(numbers)


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _CHARS else text[: _CHARS - 1] + "…"

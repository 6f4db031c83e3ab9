"""Questions as pickles: from the checker to the student's process only. Trusted to untrusted, so pickle may be used.

cloudpickle carries functions and classes of a test by value. Two things that it does slowly for us are done here:
tensors travel as plain bytes (torch's own way is a `torch.save` for each), and which submodules a function uses is
looked up by name (cloudpickle walks through all modules there are, 3,000 with torch, for every function).
"""

from __future__ import annotations

import io
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cloudpickle

from torchdojo.isolation.server import tensor_of_part
from torchdojo.isolation.values import elements, lay_apart, tensor_of


def pickled(question: Any) -> list[bytes | memoryview]:
    """`question` as a pickle for the student's side and, after it, the memory of its large tensors.

    Raises:
        Exception: what pickle raises at something that cannot be pickled; the test's author must mend it.
    """
    with io.BytesIO() as file:
        pickler = _Pickler(file, protocol=5)
        pickler.dump(question)
        return [file.getvalue(), *pickler.apart]


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    """Memory lies apart by a number of our own, not by pickle's buffers: those crashed the checker (docs/why.md)."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol=protocol)
        self.apart: list[memoryview] = []

    def reducer_override(self, obj: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and type(obj) is torch.Tensor and _owns_plain_memory(torch, obj):
            like = str(obj.dtype).removeprefix("torch."), tuple(obj.shape), obj.requires_grad
            memory = lay_apart(elements(obj), self.apart)
            return (
                (tensor_of_part, (*like, memory))
                if isinstance(memory, int)
                else (tensor_of, (*like, bytearray(memory)))
            )
        return super().reducer_override(obj)


def _owns_plain_memory(torch: Any, tensor: Any) -> bool:
    """Whether shape and bytes say all there is of a tensor: no view of something, no gap, nothing hung onto it."""
    return bool(
        tensor.layout is torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and tensor.is_contiguous()
        and tensor._base is None
        and tensor.untyped_storage().nbytes() == tensor.numel() * tensor.itemsize
        and not (tensor.is_conj() or tensor.is_neg())
        and not tensor.__dict__
        and tensor.grad is None
    )


def _submodules_used(code: types.CodeType, dependencies: Iterable[Any]) -> list[Any]:
    """The imported submodules that `code` can name below the packages among `dependencies`."""
    return [
        module
        for package in dependencies
        if isinstance(package, types.ModuleType) and getattr(package, "__package__", None)
        for module in _below(package.__name__, dict.fromkeys(code.co_names))
    ]


def _below(package: str, names: Iterable[str]) -> Iterator[Any]:
    for name in names:
        module = sys.modules.get(f"{package}.{name}")
        if module is not None:
            yield module
            yield from _below(f"{package}.{name}", names)


def _look_names_up() -> None:
    """Have names looked up in the place of cloudpickle's walk, no public name: where it is another, nothing happens.

    Same answer, 0.5 ms less a function: half of what isolation costs in the checker (bench/isolation_overhead.py).
    """
    inner = cloudpickle.cloudpickle
    walk: Callable[..., Any] | None = getattr(inner, "_find_imported_submodules", None)
    if walk is not None and walk.__module__ == inner.__name__:
        inner._find_imported_submodules = _submodules_used


_look_names_up()

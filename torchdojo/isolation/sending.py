"""Questions as pickles: from the checker to the student's process only. Trusted to untrusted, so pickle may be used.

cloudpickle carries functions and classes of a test by value. Two things that it does slowly for us are done here:
tensors travel as plain bytes (torch's own way is a `torch.save` for each), and which submodules a function uses is
looked up in an index (cloudpickle walks through all modules there are, 3,000 with torch, for every function).
"""

from __future__ import annotations

import io
import sys
import types
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle

from torchdojo.isolation.values import elements, tensor_of


def pickled(question: Any) -> bytes:
    """`question` as bytes for `pickle.loads` on the student's side.

    Raises:
        Exception: what pickle raises at something that cannot be pickled; the test's author must mend it.
    """
    with io.BytesIO() as file:
        _Pickler(file, protocol=5).dump(question)
        return file.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    def reducer_override(self, obj: Any) -> Any:
        torch = sys.modules.get("torch")
        if torch is not None and type(obj) is torch.Tensor and _owns_plain_memory(torch, obj):
            name = str(obj.dtype).removeprefix("torch.")
            return tensor_of, (name, tuple(obj.shape), obj.requires_grad, bytearray(elements(obj)))
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


class _Submodules:
    """Imported modules by the package above them, kept until there are more."""

    def __init__(self) -> None:
        self._count = 0
        self._below: dict[str, list[tuple[frozenset[str], str]]] = {}

    def below(self, package: str) -> list[tuple[frozenset[str], str]]:
        if self._count != len(sys.modules):
            below = defaultdict(list)
            for name in list(sys.modules):
                parts = name.split(".")
                for end in range(1, len(parts)):
                    below[".".join(parts[:end])].append((frozenset(parts[end:]), name))
            self._count, self._below = len(sys.modules), dict(below)
        return self._below.get(package, [])

    def used_by(self, code: types.CodeType, dependencies: Iterable[Any]) -> list[Any]:
        """The imported submodules that `code` can name below the packages among `dependencies`."""
        names = frozenset(code.co_names)
        return [
            sys.modules[name]
            for package in dependencies
            if isinstance(package, types.ModuleType) and getattr(package, "__package__", None)
            for tokens, name in self.below(package.__name__)
            if tokens <= names
        ]


def _use_index() -> None:
    """Put the index in the place of cloudpickle's walk, which is no public name: where it is another, nothing happens.

    Same answer, 0.5 ms less a function: half of what isolation costs in the checker (bench/isolation_overhead.py).
    """
    inner = cloudpickle.cloudpickle
    walk: Callable[..., Any] | None = getattr(inner, "_find_imported_submodules", None)
    if walk is not None and walk.__module__ == inner.__name__:
        inner._find_imported_submodules = _Submodules().used_by


_use_index()

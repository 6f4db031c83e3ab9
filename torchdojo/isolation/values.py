"""Values across the trust boundary: a closed list of types, bounded, and a decoder that can build nothing else.

The student's process encodes, the checker decodes. What is no value becomes a handle: a number by which the checker
may ask for more. Never unpickles.
"""

from __future__ import annotations

import math
import re
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from torchdojo.isolation.wire import APART_BYTES, MAX_PARTS

MAX_BYTES = 256 * 2**20  # one answer: MNIST's training images are 47 MB as bytes, 188 MB as float32
MAX_DEPTH = 24
MAX_ITEMS = 1_000_000  # over the whole answer
MAX_INT_DIGITS = 1000
_REAL = ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "float16", "bfloat16", "float32")
_DTYPES = ("bool", *_REAL, "float64", "complex64", "complex128")
_NUMPY_KINDS = frozenset("biufc")
_NUMPY_DTYPE = re.compile(r"[<>|=][biufc]\d{1,2}")  # as `dtype.str` has it

# msgpack extension types
_INT, _COMPLEX, _TUPLE, _SET, _FROZENSET, _DICT = range(1, 7)
_TENSOR, _ARRAY, _SCALAR, _DTYPE, _DEVICE, _SIZE, _HANDLE = range(7, 14)


class NotAValue(TypeError):
    """Something that does not travel by value stands where a value is needed."""


class Malformed(ValueError):
    """An answer that no honest encoder writes: too large, too deep, of an unknown type, cut off."""


@dataclass(frozen=True, slots=True)
class HandleInfo:
    """What the checker is told of an object that stays on the student's side."""

    number: int
    type_name: str
    sized: bool
    iterable: bool
    indexable: bool
    callable: bool


# ---------------------------------------------------------------------------------------- the student's side


@dataclass(frozen=True, slots=True)
class _Out:
    """An answer in the making: what becomes of objects that are no values, and what lies apart from the rest."""

    keep: Callable[[Any], HandleInfo] | None
    apart: list[memoryview]


def encode(value: Any, keep: Callable[[Any], HandleInfo] | None) -> list[bytes | memoryview]:
    """`value` as bytes and, after it, the memory of its large tensors and arrays, which it names by number.

    Args:
        value: anything.
        keep: called with each object that is no value; returns the handle that stands for it. None: refuse them.

    Raises:
        NotAValue: an object that is no value, and `keep` is None.
    """
    out = _Out(keep, [])
    return [msgpack.packb(_plain(value, out, 0), use_bin_type=True, strict_types=True), *out.apart]


def _plain(value: Any, out: _Out, depth: int) -> Any:
    """`value` in the types that msgpack packs by itself, and ExtType."""
    if depth > MAX_DEPTH:
        raise NotAValue(f"a value nested more than {MAX_DEPTH} deep")
    if value is None or value is True or value is False:
        return value
    for library in ("numpy", "torch"):  # before the plain types: some of theirs derive from them
        if library in sys.modules:
            packed = _PACKERS[library](value, out)
            if packed is not None:
                return packed
    if isinstance(value, int):
        value = int(value)
        return value if -(2**63) <= value < 2**64 else _ext(_INT, hex(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, complex):
        return msgpack.ExtType(_COMPLEX, struct.pack("<dd", value.real, value.imag))
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    if isinstance(value, list):
        return [_plain(item, out, depth + 1) for item in value]
    if isinstance(value, tuple):
        return _ext(_TUPLE, [_plain(item, out, depth + 1) for item in value])
    if isinstance(value, set | frozenset):
        kind = _SET if isinstance(value, set) else _FROZENSET
        return _ext(kind, [_plain(item, out, depth + 1) for item in value])
    if isinstance(value, dict):
        return _ext(_DICT, [[_plain(k, out, depth + 1), _plain(v, out, depth + 1)] for k, v in value.items()])
    if out.keep is None:
        raise NotAValue(f"an object of type {type(value).__name__}")
    info = out.keep(value)
    flags = [info.sized, info.iterable, info.indexable, info.callable]
    return _ext(_HANDLE, [info.number, info.type_name[:100], *flags])


def _packed_numpy(value: Any, out: _Out) -> Any:
    import numpy

    if isinstance(value, numpy.generic) and value.dtype.kind in _NUMPY_KINDS:
        return _ext(_SCALAR, [value.dtype.str, value.tobytes()])
    if isinstance(value, numpy.ndarray) and value.dtype.kind in _NUMPY_KINDS:
        flat = numpy.ascontiguousarray(value).reshape(-1).view(numpy.uint8)
        memory = flat.data if value.size else b""
        return _ext(_ARRAY, [value.dtype.str, list(value.shape), lay_apart(memory, out.apart)])
    return None


def _packed_torch(value: Any, out: _Out) -> Any:
    import torch

    if isinstance(value, torch.Size):
        return _ext(_SIZE, [int(n) for n in value])
    if isinstance(value, torch.dtype):
        return _ext(_DTYPE, str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return _ext(_DEVICE, str(value))
    if isinstance(value, torch.Tensor):
        return _tensor(value, out)
    return None


_PACKERS = {"numpy": _packed_numpy, "torch": _packed_torch}


def _tensor(tensor: Any, out: _Out) -> Any:
    import torch

    name = str(tensor.dtype).removeprefix("torch.")
    if tensor.layout is not torch.strided or name not in _DTYPES or tensor.is_nested:
        raise NotAValue(f"a tensor of layout {tensor.layout} and dtype {name}")
    data = b"" if tensor.device.type == "meta" else lay_apart(elements(tensor), out.apart)
    return _ext(_TENSOR, [name, str(tensor.device), list(tensor.shape), bool(tensor.requires_grad), data])


def lay_apart(memory: memoryview | bytes, apart: list[memoryview]) -> memoryview | bytes | int:
    """The number, from 1, that `memory` has in `apart` from now on; where it is small, itself."""
    if len(memory) < APART_BYTES or len(apart) >= MAX_PARTS - 1:
        return memory
    apart.append(memoryview(memory))
    return len(apart)


def elements(tensor: Any) -> memoryview | bytes:
    """The elements of a strided tensor of any shape, in row-major order, as they lie in memory: not a copy, if so."""
    import torch

    plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
    return memoryview(plain.reshape(-1).view(torch.uint8).numpy()) if plain.numel() else b""


def tensor_of(name: str, shape: tuple[int, ...], requires_grad: bool, data: bytes | bytearray) -> Any:
    """The tensor on the CPU of the dtype `name`, the way back of `elements`. A bytearray becomes its memory."""
    import torch

    dtype = getattr(torch, name)
    if not data:
        return torch.empty(shape, dtype=dtype).requires_grad_(requires_grad)
    own = data if isinstance(data, bytearray) else bytearray(data)
    tensor = torch.frombuffer(own, dtype=dtype).reshape(shape)
    return tensor.requires_grad_(requires_grad)


def _ext(code: int, content: Any) -> Any:
    return msgpack.ExtType(code, msgpack.packb(content, use_bin_type=True, strict_types=True))


# --------------------------------------------------------------------------------------------- the checker's side


def decode(parts: Sequence[bytes | bytearray], make_handle: Callable[[HandleInfo], Any] | None) -> Any:
    """The value that `parts` stand for: one of the closed list of types, nothing else can come of it.

    Args:
        parts: what came from the student's side, see `encode`. Those after the first become memory of the value.
        make_handle: called with each handle; None: a handle is refused as NotAValue.

    Raises:
        Malformed: whatever is wrong with them.
        NotAValue: a handle where none may be.
    """
    size = sum(map(len, parts))
    if not parts or size > MAX_BYTES:
        raise Malformed(f"an answer of {len(parts)} parts and {size} bytes, more than {MAX_BYTES}")
    try:
        return _Decoder(make_handle, dict(enumerate(parts[1:], 1))).whole(parts[0])
    except (Malformed, NotAValue):
        raise
    except Exception as error:  # of the libraries below, on bytes that nobody honest wrote
        raise Malformed(f"{type(error).__name__}: {str(error)[:200]}") from None


class _Decoder:
    def __init__(self, make_handle: Callable[[HandleInfo], Any] | None, apart: dict[int, bytes | bytearray]) -> None:
        self._make_handle = make_handle
        self._parts = apart
        self._items = 0
        self._depth = 0
        self._builders: Mapping[int, Callable[[Any], Any]] = {
            _INT: self._int,
            _TUPLE: lambda c: tuple(self._list(c)),
            _SET: lambda c: set(self._scattered(self._list(c))),
            _FROZENSET: lambda c: frozenset(self._scattered(self._list(c))),
            _DICT: self._dict,
            _TENSOR: self._tensor,
            _ARRAY: self._array,
            _SCALAR: self._scalar,
            _DTYPE: self._dtype,
            _DEVICE: self._device,
            _SIZE: self._size,
            _HANDLE: self._handle,
        }

    def whole(self, data: bytes | bytearray) -> Any:
        return msgpack.unpackb(
            data,
            ext_hook=self._ext,
            list_hook=self._counted,
            object_hook=_no_map,
            raw=False,
            strict_map_key=True,
            max_array_len=MAX_ITEMS,
            max_map_len=0,
            timestamp=1,  # an extension that msgpack reads by itself, and which no encoder here writes: a plain float
        )

    def _ext(self, code: int, data: bytes) -> Any:
        if code == _COMPLEX:
            return complex(*struct.unpack("<dd", data))
        if code not in self._builders:
            raise Malformed(f"an extension of type {code}")
        self._depth += 1
        if self._depth > MAX_DEPTH + 1:
            raise Malformed(f"a value nested more than {MAX_DEPTH} deep")
        try:
            return self._builders[code](self.whole(data))
        finally:
            self._depth -= 1

    def _counted(self, items: list[Any]) -> list[Any]:
        self._items += len(items)
        if self._items > MAX_ITEMS:
            raise Malformed(f"more than {MAX_ITEMS} items")
        return items

    def _list(self, content: Any) -> list[Any]:
        if type(content) is not list:
            raise Malformed("a sequence that is none")
        return content

    def _int(self, content: Any) -> int:
        if type(content) is not str or len(content) > MAX_INT_DIGITS:
            raise Malformed("an integer that is none, or too long")
        return int(content, 16)

    def _dict(self, content: Any) -> dict[Any, Any]:
        pairs = [(key, value) for key, value in self._list(content)]
        self._scattered([key for key, _ in pairs])
        return dict(pairs)

    def _scattered(self, keys: list[Any]) -> list[Any]:
        """Refuse keys made to share one hash: a table of them takes hours."""
        if len({hash(key) for key in keys}) < len(keys) // 4:
            raise Malformed(f"{len(keys)} keys with the same few hashes")
        return keys

    def _shape(self, content: Any) -> tuple[int, ...]:
        shape = tuple(self._list(content))
        if len(shape) > 64 or any(type(n) is not int or n < 0 for n in shape):
            raise Malformed("a shape that is none")
        return shape

    def _memory(self, content: Any) -> bytes | bytearray:
        """Bytes that stand here, or the part that a number stands for; each part is the memory of one value."""
        if type(content) is bytes:
            return content
        if type(content) is not int or content not in self._parts:
            raise Malformed("no bytes where bytes must be")
        return self._parts.pop(content)

    def _tensor(self, content: Any) -> Any:
        import torch

        name, device, shape, requires_grad, data = self._list(content)
        shape, data = self._shape(shape), self._memory(data)
        if name not in _DTYPES or type(requires_grad) is not bool:
            raise Malformed("a tensor of no known dtype")
        dtype = getattr(torch, name)
        if torch.device(device).type == "meta":
            return torch.empty(shape, dtype=dtype, device="meta")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise Malformed(f"a tensor of shape {shape} with {len(data)} bytes")
        if name == "bool" and data and max(data) > 1:
            raise Malformed("a bool that is neither")
        return tensor_of(name, shape, requires_grad and (dtype.is_floating_point or dtype.is_complex), data)

    def _array(self, content: Any) -> Any:
        import numpy

        dtype, shape, data = self._list(content)
        memory = bytearray(data) if type(data) is bytes else self._memory(data)
        return numpy.frombuffer(memory, dtype=self._numpy_dtype(dtype, memory)).reshape(self._shape(shape))

    def _scalar(self, content: Any) -> Any:
        import numpy

        dtype, data = self._list(content)
        (value,) = numpy.frombuffer(data, dtype=self._numpy_dtype(dtype, data))
        return value

    def _numpy_dtype(self, text: Any, data: Any) -> Any:
        import numpy

        if type(text) is not str or not _NUMPY_DTYPE.fullmatch(text) or not isinstance(data, bytes | bytearray):
            raise Malformed("an array of no known dtype")
        if text[1] == "b" and max(data, default=0) > 1:
            raise Malformed("a bool that is neither")
        return numpy.dtype(text)

    def _dtype(self, content: Any) -> Any:
        import torch

        if content not in _DTYPES:
            raise Malformed("a dtype that is none")
        return getattr(torch, content)

    def _device(self, content: Any) -> Any:
        import torch

        if type(content) is not str or len(content) > 20:
            raise Malformed("a device that is none")
        return torch.device(content)

    def _size(self, content: Any) -> Any:
        import torch

        return torch.Size(self._shape(content))

    def _handle(self, content: Any) -> Any:
        number, type_name, *flags = self._list(content)
        if type(number) is not int or type(type_name) is not str or [type(f) for f in flags] != [bool] * 4:
            raise Malformed("a handle that is none")
        if self._make_handle is None:
            raise NotAValue(f"an object of type {type_name[:100]}")
        return self._make_handle(HandleInfo(number, type_name[:100], *flags))


def _no_map(_: Any) -> Any:
    raise Malformed("a map")

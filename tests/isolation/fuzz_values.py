"""A fuzzer for the strict decoder, guided by coverage: Atheris, libFuzzer for Python. Not part of `make test`.

What it holds to be true of any bytes at all that come from a student's process:

- `wire.receive` gives bytes, or raises Gone or Late; `values.decode` gives a value, or raises Malformed or NotAValue;
  `proxy` makes of an error one that is built in, and an Exception;
- a value is of the closed list of types, through and through, and no subclass; a bool is 0 or 1 in memory;
- it can be encoded again, comes back of the same type, and can be described for a learner;
- none takes more than 10 s or 2 GiB.

Half of the mutations are libFuzzer's, on bytes; half change one node of the tree that the bytes stand for.
"""

from __future__ import annotations

import argparse
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import msgpack
import numpy as np
import torch

EXAMPLES = """
examples:
  pip install atheris
  python tests/isolation/fuzz_values.py --seconds 600
  python tests/isolation/fuzz_values.py --planted dtype --seconds 60     shows that it finds a bug
  python tests/isolation/fuzz_values.py --one crash-1234                 runs one input again, with a traceback
"""
FUZZED = ("values", "wire", "proxy")
WORDS = ["float32", "bool", "complex64", "cpu", "cuda:0", "meta", "<f4", "|b1", ">i8", "|O8", "<M8", "load", "ok"]
WORDS += ["error", "ValueError", "SystemExit", "UnicodeDecodeError", "OSError", "ExceptionGroup", "0x" + "f" * 70]
NUMBERS = [0, 1, -1, 2, 7, 13, 14, 64, 2**31, 2**53, 2**63 - 1, 2**64 - 1, -(2**63), 1e308, float("nan")]
PLANTED = {
    "dtype": "any attribute of torch may be named as a dtype",
    "bool": "a bool may be 2",
    "error": "an exception of a library comes through",
    "handle": "the fields of a handle may be anything",
}


# ------------------------------------------------------------------------------------------ what is held to be true


def one_input(data: bytes) -> None:
    """Everything that may be done with bytes from a student. Raises whatever is a finding."""
    from torchdojo.isolation import values

    frame(data)
    understood(data)
    for make_handle in (None, Stand):
        try:
            value = values.decode([data, bytearray(8), bytearray(16)], make_handle)
        except (values.Malformed, values.NotAValue):
            continue
        look_at(value)
        used(value)


def frame(data: bytes) -> None:
    """The same bytes as what stands on the wire."""
    from torchdojo.isolation import wire

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data[: 64 * 1024])
        theirs.shutdown(socket.SHUT_WR)
        with suppress(wire.Gone, wire.Late):
            got = wire.receive(ours, max_bytes=2**20, deadline=time.monotonic() + 5)
            sent = data[4 + 8 * len(got) :]
            assert sent.startswith(b"".join(got)), "bytes that were not sent"


def understood(data: bytes) -> None:
    """The same bytes as an answer to a question."""
    from torchdojo.isolation import proxy

    student = proxy.RemoteStudent(socket.socket, budget_s=60)
    try:
        student._understood([bytearray(data), bytearray(8)])
    except (proxy.StudentDied, proxy.NotAValue):
        return
    except Exception as error:
        came = error
    else:
        return
    assert type(came).__module__ == "builtins", f"{type(came)} is not built in"


class Stand:
    """Stands for what a handle names."""

    def __init__(self, info: Any) -> None:
        self.info = info


PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, torch.device)


def look_at(value: Any) -> None:
    """Fails unless the value is of the closed list of types."""
    stack = [value]
    while stack:
        one = stack.pop()
        kind = type(one)
        if kind in (list, tuple, set, frozenset):
            stack += one
        elif kind is dict:
            stack += [*one.keys(), *one.values()]
        elif kind is Stand:
            info = one.info
            assert (type(info.number), type(info.type_name)) == (int, str)
            assert {type(flag) for flag in (info.sized, info.iterable, info.indexable, info.callable)} == {bool}
        elif kind is torch.Size:
            assert all(type(n) is int for n in one)
        elif kind is torch.Tensor:
            assert one.layout is torch.strided
            assert one.device.type in ("cpu", "meta")
            assert one.is_leaf
            assert one.grad_fn is None
            bits = one.dtype is torch.bool and one.device.type == "cpu"
            assert not bits or not one.numel() or one.view(torch.uint8).max() < 2, "a bool that is neither"
        elif kind is np.ndarray or isinstance(one, np.generic):
            assert kind is np.ndarray or kind.__module__ == "numpy", f"a {kind}"
            assert one.dtype.kind in "biufc", f"an array of {one.dtype}"
            assert one.dtype.kind != "b" or not one.size or np.asarray(one).view(np.uint8).max() < 2, "neither"
        else:
            assert kind in PLAIN, f"a {kind} came out"


def used(value: Any) -> None:
    """A value is described for a learner, and travels again. That refuses what nests deeper than it may."""
    from torchdojo.checks.values import describe
    from torchdojo.isolation import values

    assert type(describe(value)) is str
    with suppress(values.NotAValue):
        back = values.decode(values.encode(value, lambda stand: stand.info), Stand)
        assert type(back) is type(value), f"{type(value)} came back as {type(back)}"


# ----------------------------------------------------------------------------------------------------- mutations


def tree_of(data: bytes) -> Any:
    """Bytes as what msgpack reads, extensions opened up as (code, content), or a bytearray where that is none."""

    def opened(code: int, content: bytes) -> Any:
        try:
            return (code, tree_of(content))
        except Exception:
            return (code, bytearray(content))

    return msgpack.unpackb(data, ext_hook=opened, unicode_errors="surrogateescape", strict_map_key=False)


def bytes_of(tree: Any) -> bytes:
    """The way back."""

    def closed(node: Any) -> Any:
        if isinstance(node, tuple):
            code, content = node
            return msgpack.ExtType(code % 128, bytes(content) if isinstance(content, bytearray) else bytes_of(content))
        if isinstance(node, list):
            return [closed(each) for each in node]
        return node

    return msgpack.packb(closed(tree), use_bin_type=True, unicode_errors="surrogateescape")


def mutated(node: Any, chance: random.Random) -> Any:
    """The tree with one node changed."""
    if isinstance(node, tuple) and chance.random() < 0.8:
        return (chance.randrange(16), node[1]) if chance.random() < 0.2 else (node[0], mutated(node[1], chance))
    if isinstance(node, list) and node and chance.random() < 0.85:
        at = chance.randrange(len(node))
        deed = chance.random()
        if deed < 0.1:
            return node[:at] + node[at + 1 :]
        if deed < 0.2:
            return [*node[: at + 1], *node[at:]]
        if deed < 0.25:
            return node * chance.choice([2, 3, 40])
        return [*node[:at], mutated(node[at], chance), *node[at + 1 :]]
    return chance.choice(
        [
            lambda: chance.choice(NUMBERS),
            lambda: chance.choice(WORDS),
            lambda: chance.choice([None, True, False, [], [node], [node, node]]),
            lambda: chance.randbytes(chance.choice([1, 4, 8, 16])) + b"\xff",
            lambda: (chance.randrange(16), node),
            lambda: (chance.randrange(16), [node, node]),
            lambda: flipped(node, chance) if isinstance(node, bytes) else node,
            lambda: node[: len(node) // 2] if isinstance(node, bytes) else node,
        ]
    )()


def flipped(data: bytes, chance: random.Random) -> bytes:
    """The bytes with one of them changed."""
    new = bytearray(data)
    if new:
        new[chance.randrange(len(new))] = chance.choice([0, 1, 2, 127, 128, 255])
    return bytes(new)


def mutate(data: bytes, max_size: int, seed: int) -> bytes:
    """Called by libFuzzer for each new input."""
    import atheris

    chance = random.Random(seed)
    if chance.random() < 0.5:
        with suppress(Exception):
            tree = tree_of(data)
            for _ in range(chance.choice([1, 1, 2, 3])):
                tree = mutated(tree, chance)
            new = bytes_of(tree)
            if len(new) <= max_size:
                return new
    return bytes(atheris.Mutate(data, max_size))


def seeds() -> list[bytes]:
    """Honest answers of every kind."""
    from torchdojo.isolation.values import HandleInfo, encode

    honest = [
        [None, True, 1, -(2**70), 1.5, 1j, "a", b"b", [1], (2, "x"), {1, 2}, frozenset({3}), {"k": [1], 2: (3,)}],
        [torch.arange(6).reshape(2, 3), torch.ones(2, requires_grad=True), torch.tensor([True]), torch.empty(0, 3)],
        [torch.zeros(2, dtype=torch.bfloat16), torch.empty(2, device="meta"), torch.tensor(1 + 2j)],
        [np.arange(4.0), np.float32(1), np.array([True, False]), np.zeros((2, 0), dtype=">i2")],
        [torch.float32, torch.device("cpu"), torch.Size([2, 3])],
    ]
    answers = [encode(["ok", each], None)[0] for each in honest]
    answers += [encode(one, None)[0] for each in honest for one in each]
    answers.append(encode(object(), lambda _: HandleInfo(1, "Net", True, False, True, True))[0])
    answers.append(encode(["ok", object()], lambda _: HandleInfo(1, "Net", True, False, True, True))[0])
    fields = ["KeyError", "Mine", "missing", False, 3, "x = 1", True]
    answers.append(encode(["error", fields], None)[0])
    apart = msgpack.packb(msgpack.ExtType(7, msgpack.packb(["float32", "cpu", [2], False, 1])))
    frames = (b"\1\0\0\0" + len(each).to_bytes(8, "little") + each for each in answers[:2])
    return [*answers, apart, *frames]


# ------------------------------------------------------------------------------------------------------- running


def plant(name: str) -> None:
    """Make the decoder wrong in one way."""
    from torchdojo.isolation import values

    decoder: Any = values._Decoder
    if name == "dtype":
        decoder._dtype = lambda self, content: getattr(torch, content)
    elif name == "bool":
        decoder._numpy_dtype = lambda self, text, data: np.dtype(text if text[1:2] in "biufc" else "f4")
    elif name == "error":

        def leaking(data: bytes, make_handle: Any) -> Any:
            try:
                return decoder(make_handle).whole(data)
            except (ValueError, RuntimeError) as error:
                raise values.Malformed(str(error)) from None

        values.decode = leaking
    elif name == "handle":
        decoder._handle = lambda self, content: self._make_handle(values.HandleInfo(*content))


def fuzz(planted: str, arguments: list[str]) -> None:
    """In a process of its own: never returns."""
    import atheris

    import torchdojo.checks.values  # noqa: F401  (not what is fuzzed)

    with atheris.instrument_imports(include=[f"torchdojo.isolation.{name}" for name in FUZZED]):
        from torchdojo.isolation import proxy, values, wire  # noqa: F401
    if planted:
        plant(planted)
    torch.set_num_threads(1)
    atheris.Setup([sys.argv[0], *arguments], one_input, custom_mutator=mutate)
    atheris.Fuzz()


def lines_of(code: CodeType) -> set[int]:
    """The lines that a code object and those in it can run."""
    own = {line for _, _, line in code.co_lines() if line}
    return own.union(*(lines_of(each) for each in code.co_consts if isinstance(each, CodeType)))


def covered(corpus: Path) -> dict[str, tuple[int, int, list[int]]]:
    """By file: lines that the corpus runs, lines there are in the functions fuzzed, and which were not run."""
    from torchdojo.isolation import proxy, values, wire

    functions = {
        "values": [values.decode, *(f for f in vars(values._Decoder).values() if hasattr(f, "__code__"))],
        "wire": [wire.receive, wire._exactly],
        "proxy": [proxy.RemoteStudent._understood, proxy._rebuilt],
    }
    files = {module.__file__: name for name, module in (("values", values), ("wire", wire), ("proxy", proxy))}
    seen: dict[str, set[int]] = {name: set() for name in functions}

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        name = files.get(frame.f_code.co_filename)
        if name is None:
            return None
        seen[name].add(frame.f_lineno)
        return trace

    for path in sorted(corpus.iterdir()):
        sys.settrace(trace)
        try:
            one_input(path.read_bytes())
        finally:
            sys.settrace(None)
    found = {}
    for name, fuzzed in functions.items():
        lines = set().union(*(lines_of(f.__code__) - {f.__code__.co_firstlineno} for f in fuzzed))
        found[name] = (len(lines & seen[name]), len(lines), sorted(lines - seen[name]))
    return found


def main() -> int:
    """Fuzz for a while, then say how much was tried, what it reached and what it found."""
    options = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--corpus", type=Path, help="a folder to begin with and to go on filling (default: a new one)")
    options.add_argument("--planted", choices=PLANTED, help="; ".join(f"{k}: {v}" for k, v in PLANTED.items()))
    options.add_argument("--one", type=Path, help="a file: run this input and nothing else")
    options.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.child is not None:
        fuzz(arguments.planted or "", [*(f"-{each}" for each in arguments.child), str(arguments.corpus)])
    if arguments.one is not None:
        if arguments.planted:
            plant(arguments.planted)
        one_input(arguments.one.read_bytes())
        print("nothing is wrong with it")
        return 0
    corpus = arguments.corpus or Path(tempfile.mkdtemp(prefix="fuzz-values-"))
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(seeds()):
        (corpus / f"seed-{number}").write_bytes(data)
    findings = Path(tempfile.mkdtemp(prefix="fuzz-findings-"))
    limits = ["timeout=10", "rss_limit_mb=3072", "max_len=4096", "print_final_stats=1"]
    flags = [f"max_total_time={arguments.seconds}", f"artifact_prefix={findings}/", *limits]
    planted = ["--planted", arguments.planted] if arguments.planted else []
    command = [sys.executable, __file__, *planted, "--corpus", str(corpus), "--child", *flags]
    start = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True)
    said, seconds = ended.stdout + ended.stderr, time.monotonic() - start
    return report(said, ended.returncode, seconds, corpus, findings, arguments)


def report(said: str, status: int, seconds: float, corpus: Path, findings: Path, arguments: Any) -> int:
    """Print what came of it; 0 where nothing was found."""
    tried = re.findall(r"#(\d+)", said)
    features = re.findall(r"cov: (\d+) ft: (\d+)", said)
    found = sorted(findings.iterdir())
    print(f"{tried[-1] if tried else 0} executions in {seconds:.0f} s; exit status of libFuzzer {status}")
    if features:
        print(f"coverage: {features[-1][0]} places, {features[-1][1]} features; corpus {len(list(corpus.iterdir()))}")
    if not arguments.planted and not found:
        for name, (run, there, left) in covered(corpus).items():
            print(f"  {name}.py: {run} of {there} lines of the functions fuzzed" + (f"; not {left}" if left else ""))
    if arguments.corpus is None:
        shutil.rmtree(corpus, ignore_errors=True)
    if not found and status == 0:
        shutil.rmtree(findings, ignore_errors=True)
        print("nothing found")
        return 0
    told = [line for line in said.splitlines() if not re.match(r"#\d+|INFO|stat::|0x|MS:", line)]
    print("\n".join(told[-30:]))
    for path in found:
        print(f"found: {path} {path.read_bytes()[:200]!r}")
    return 1


if __name__ == "__main__":
    sys.exit(main())

"""Attempts to get out of a sandbox, made from inside: what `sandbox_probe` asks a new process to do.

Each returns "" when it was prevented, and else a sentence on what was possible and what to do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from torchdojo.kernels import linux, namespaces, sandbox
from torchdojo.kernels.sandbox import SandboxError, SandboxSpec

_LIVES_S = 60.0
_SIZE_MIB = 8
_NEEDS_FULL = "Only `sandbox: full` prevents it."
_NEEDS_PARTIAL = "`sandbox: full` prevents it, and `partial` does where Landlock is new enough (Linux 6.12)."


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What is outside to be reached: a file, a process, and programs that listen."""

    secret: str
    pid: int
    tcp: int
    abstract: str
    socket_file: str


def main() -> None:
    """Read one question from stdin, answer on stdout."""
    sandbox.protect_interpreter()
    question = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder, neighbours(folder) as outside:
        own = f"{folder}/own"
        os.mkdir(own)
        spec = SandboxSpec(own, question["level"], tuple(question["read_only"]), size_mib=_SIZE_MIB, file_mib=64)
        print(json.dumps(_from_inside(spec, lambda: _broken(spec, outside, question["hidden"]))))


def _from_inside(spec: SandboxSpec, work: Callable[[], Mapping[str, str]]) -> dict[str, Any]:
    answers, channel = os.pipe()
    try:
        pid = sandbox.fork(spec)
    except SandboxError as error:
        return {"trouble": {"step": error.step, "code": error.code}}
    if pid == 0:
        _answer(spec, work, channel)
    os.close(channel)
    with os.fdopen(answers, encoding="utf-8") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    answer: dict[str, Any] = json.loads(text)
    return answer


def _answer(spec: SandboxSpec, work: Callable[[], Mapping[str, str]], channel: int) -> NoReturn:
    try:
        try:
            sandbox.enter(spec, keep=[2, channel])
            answer: dict[str, Any] = {"broken": work()}
        except SandboxError as error:
            answer = {"trouble": {"step": error.step, "code": error.code}}
        os.write(channel, json.dumps(answer).encode())
    finally:
        os._exit(0)


@contextmanager
def neighbours(folder: str) -> Iterator[Neighbours]:
    """A small world around a sandbox; all of it ends with the block."""
    secret = f"{folder}/secret"
    with open(secret, "w", encoding="ascii") as file:
        file.write("secret")
    os.chmod(secret, 0o644)
    tcp = socket.create_server(("127.0.0.1", 0))
    named, abstract = (socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(2))
    named.bind(f"{folder}/listens")
    os.chmod(f"{folder}/listens", 0o777)
    abstract.bind(f"\0torchdojo-probe-{os.getpid()}")
    named.listen()
    abstract.listen()
    pid = os.fork()
    if pid == 0:
        time.sleep(_LIVES_S)
        os._exit(0)
    with tcp, named, abstract:
        try:
            yield Neighbours(
                secret=secret,
                pid=pid,
                tcp=tcp.getsockname()[1],
                abstract=f"\0torchdojo-probe-{os.getpid()}",
                socket_file=f"{folder}/listens",
            )
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _works(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return False
    return True


def _broken(spec: SandboxSpec, outside: Neighbours, hidden: Sequence[str]) -> dict[str, str]:
    """Of each property that does not hold, what was possible and what to do. Runs inside."""
    sentences = {
        "files": _try_files(outside, hidden),
        "network": _try_network(outside),
        "processes": _try_processes(outside),
        "signals": _try_signals(outside),
        "disk": _try_disk(spec),
        "syscalls": _try_calls(),
        "user": _try_user(),
    }
    return {name: sentence for name, sentence in sentences.items() if sentence}


def _try_files(outside: Neighbours, hidden: Sequence[str]) -> str:
    if _can_open(outside.secret):
        return f"Any file of this user can be read and overwritten. {_NEEDS_PARTIAL}"
    for path in hidden:
        if _can_open(path):
            return f"{path} can be read: it lies in a folder that jobs may read. Move it, or what is in its way."
    if _can_open(os.__file__, os.O_RDWR):
        return f"Python itself can be overwritten ({os.__file__}). {_NEEDS_PARTIAL}"
    return ""


def _can_open(path: str, flags: int = os.O_RDONLY) -> bool:
    return _works(lambda: os.close(os.open(path, flags)))


def _try_network(outside: Neighbours) -> str:
    def connect(family: int, kind: int, address: Any) -> bool:
        def attempt() -> None:
            with socket.socket(family, kind) as any_socket:
                any_socket.settimeout(5)
                any_socket.connect(address)
                any_socket.send(b"hello")

        return _works(attempt)

    if connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", outside.tcp)):
        return f"Any TCP port can be reached. {_NEEDS_PARTIAL}"
    if connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 9)):  # nobody's, by RFC 5737: is there a way out?
        return f"Other machines can be reached by UDP. {_NEEDS_PARTIAL}"
    if connect(socket.AF_UNIX, socket.SOCK_STREAM, outside.abstract):
        return f"Programs that listen on abstract sockets can be reached. {_NEEDS_PARTIAL}"
    if connect(socket.AF_UNIX, socket.SOCK_STREAM, outside.socket_file):
        return f"Programs that listen on socket files can be reached (D-Bus, Docker, databases). {_NEEDS_FULL}"
    return ""


def _try_processes(outside: Neighbours) -> str:
    if _can_open(f"/proc/{outside.pid}/environ"):
        return f"The environment and memory of this user's processes can be read. {_NEEDS_PARTIAL}"
    if _works(lambda: os.stat(f"/proc/{outside.pid}")):
        return f"Which processes there are, and whose, can be found out. {_NEEDS_FULL}"
    return ""


def _try_signals(outside: Neighbours) -> str:
    if _works(lambda: os.kill(outside.pid, 0)):
        return f"Other processes of this user can be stopped. {_NEEDS_PARTIAL}"
    return ""


def _try_disk(spec: SandboxSpec) -> str:
    def fill() -> None:
        for number in range(4):
            with open(f"{spec.folder}/{number}", "wb") as file:
                file.write(b"\0" * (spec.size_mib * (1 << 20) // 2))

    if spec.level == "full" and spec.folder_is == "bound":
        return ""
    full = not _works(fill)
    for number in range(4):
        with suppress(OSError):
            os.remove(f"{spec.folder}/{number}")
    return "" if full else f"The disk can be filled, by many files. {_NEEDS_FULL}"


def _try_calls() -> str:
    if linux.status_field("Seccomp") != "2":
        return f"Every system call can be made. {_NEEDS_PARTIAL}"
    if _works(lambda: linux.unshare(linux.NEW_USERS)):
        return "The filter of system calls does not work. Please report this."
    return ""


def _try_user() -> str:
    if 0 in (os.geteuid(), namespaces.identity().user):
        remedy = "Grade as an ordinary user (in a container: `docker run --user 1000`), or by `sandbox: full`"
        return f"It runs as root, without root's rights. {remedy}, or with a Python that others may read."
    if any(int(linux.status_field(f"Cap{name}"), 16) for name in ("Eff", "Prm", "Inh")):
        return f"It has capabilities. {_NEEDS_PARTIAL}"
    if linux.status_field("NoNewPrivs") != "1":
        return f"It can gain rights by setuid programs. {_NEEDS_PARTIAL}"
    return ""

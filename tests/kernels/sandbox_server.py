"""A small zygote for the sandbox's tests: does deeds in forks, shut in or free, and says whether they succeeded.

`python -m tests.kernels.sandbox_server [MODULE…]` reads one JSON request a line and answers with one. It needs nothing
but Python, so that it runs under any user's.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchdojo.errors import OursError
from torchdojo.kernels import preload, sandbox, surroundings
from torchdojo.kernels.sandbox import SandboxSpec

ANSWER_WITHIN_S = 90.0


class World:
    """What there is to be reached: a course with a gradebook, programs that listen, another process of this user."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sandbox-world-"))
        self.folder.chmod(0o755)
        self.course = self.folder / "course"
        (self.course / "submitted").mkdir(parents=True)
        self.gradebook = self.course / "gradebook.db"
        self.gradebook.write_text("everyone: 10 points")
        self.data = self.folder / "data"
        self.data.mkdir()
        (self.data / "digits").write_text("0123456789")
        self.own = self.folder / "own"
        self.own.mkdir()
        (self.own / "notebook.ipynb").write_text("{}")
        self.tcp = socket.create_server(("127.0.0.1", 0))
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp.setblocking(False)
        self.path_stream = self._unix(socket.SOCK_STREAM, str(self.folder / "stream"))
        self.path_datagram = self._unix(socket.SOCK_DGRAM, str(self.folder / "datagram"))
        self.abstract = self._unix(socket.SOCK_STREAM, f"\0sandbox-world-{os.getpid()}")
        self.neighbour = 0

    @staticmethod
    def _unix(kind: socket.SocketKind, address: str) -> socket.socket:
        one = socket.socket(socket.AF_UNIX, kind)
        one.bind(address)
        if kind == socket.SOCK_STREAM:
            one.listen(16)
        return one

    def renew(self) -> None:
        """A living neighbour, and nothing of the last deed."""
        self.end_neighbour()
        self.neighbour = os.fork()
        if self.neighbour == 0:
            time.sleep(600)
            os._exit(0)
        for one in (*self.course.iterdir(), *self.data.iterdir()):
            if one.name not in ("gradebook.db", "submitted", "digits"):
                one.unlink()
        self.gradebook.write_text("everyone: 10 points")
        if (self.data / "digits").stat().st_size == 10:
            (self.data / "digits").write_text("0123456789")
        for one in self.own.iterdir():
            shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        (self.own / "notebook.ipynb").write_text("{}")

    def plain(self) -> dict[str, Any]:
        """What a deed is told."""
        return {
            "course": str(self.course),
            "gradebook": str(self.gradebook),
            "data": str(self.data),
            "own": str(self.own),
            "tcp": self.tcp.getsockname()[1],
            "udp": self.udp.getsockname()[1],
            "path_stream": str(self.folder / "stream"),
            "path_datagram": str(self.folder / "datagram"),
            "abstract": f"\0sandbox-world-{os.getpid()}",
            "neighbour": self.neighbour,
            "parent": os.getpid(),
            "user": os.geteuid(),
        }

    def neighbour_lives(self) -> bool:
        """Neither dead nor dying."""
        if os.waitid(os.P_PID, self.neighbour, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        status = Path(f"/proc/{self.neighbour}/status").read_text()
        pending = next(line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd"))
        return not int(pending, 16)

    def end_neighbour(self) -> None:
        """Kill it and wait."""
        if self.neighbour:
            os.kill(self.neighbour, signal.SIGKILL)
            os.waitpid(self.neighbour, 0)

    def end(self) -> None:
        """Leave nothing."""
        self.end_neighbour()
        shutil.rmtree(self.folder, ignore_errors=True)


def do(world: World, request: dict[str, Any]) -> dict[str, Any]:
    """Fork, shut in unless `spec` is None, do the deed; what it returned or raised, and what was seen from here."""
    world.renew()
    module, _, name = request["deed"].rpartition(":")
    deed: Callable[..., Any] = getattr(importlib.import_module(module), name)
    spec = None
    if request["spec"] is not None:
        asked = dict(request["spec"])
        asked["read_only"] = (str(world.data), *asked.get("read_only", ()))
        spec = SandboxSpec(str(world.own), home_files=surroundings.list_of_fonts(), **asked)
    told = world.plain() | request.get("more", {})
    answers, channel = os.pipe()
    began = time.perf_counter()
    try:
        pid = os.fork() if spec is None else sandbox.fork(spec)
    except OursError as error:
        os.close(answers)
        os.close(channel)
        return {"ok": False, "trouble": str(error)}
    if pid == 0:
        _child(deed, told | {"channel": channel, "stay": request.get("look_at_it")}, spec)
    os.close(channel)
    if request.get("interrupt_after_s"):
        time.sleep(request["interrupt_after_s"])
        os.kill(pid, signal.SIGINT)
    seen = _look(answers, pid) if request.get("look_at_it") else {}
    text, left_open = _read_all(answers, pid, request.get("within_s", ANSWER_WITHIN_S))
    status = os.waitpid(pid, 0)[1]
    answer: dict[str, Any] = json.loads(text.splitlines()[0]) if text else {"ok": False, "raised": "", "value": None}
    answer["status"] = os.waitstatus_to_exitcode(status)
    answer |= seen
    answer["left_open"] = left_open
    answer["seconds"] = time.perf_counter() - began
    answer["neighbour_lives"] = world.neighbour_lives()
    with suppress(BlockingIOError):
        answer["udp_arrived"] = bool(world.udp.recv(100))
    return answer


def _child(deed: Callable[..., Any], world: dict[str, Any], spec: SandboxSpec | None) -> None:
    channel = world["channel"]
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if spec is not None:
            sandbox.enter(spec, keep=[2, channel])
        else:
            os.setsid()
            os.chdir(world["own"])
        value = deed(world)
        answer: dict[str, Any] = {"ok": True, "value": value, "raised": ""}
    except BaseException as error:
        raised = "".join(traceback.format_exception_only(error)).strip()
        answer = {"ok": False, "value": None, "raised": raised, "trace": traceback.format_exc()}
    os.write(channel, json.dumps(answer).encode() + b"\n")
    if world["stay"]:
        time.sleep(ANSWER_WITHIN_S)
    os._exit(0)


def _look(pipe: int, pid: int) -> dict[str, Any]:
    """What a runner can do from outside to a job that is shut in; ends with killing it."""
    select.select([pipe], [], [], ANSWER_WITHIN_S)
    seen: dict[str, Any] = {}
    try:
        memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
        seen["pss_kib"] = next(int(line.split()[1]) for line in memory.splitlines() if line.startswith("Pss:"))
        seen["in_its_root"] = sorted(os.listdir(f"/proc/{pid}/root/"))
        seen["owner"] = os.stat(f"/proc/{pid}").st_uid
    except OSError as error:
        seen["trouble"] = str(error)
    os.kill(pid, signal.SIGKILL)
    return seen


def _read_all(pipe: int, pid: int, within_s: float) -> tuple[bytes, bool]:
    """The answer, and whether a process that outlives its kernel still holds the pipe a second later."""
    text, until_s, gone_s = b"", time.monotonic() + within_s, 0.0
    while True:
        ready, _, _ = select.select([pipe], [], [], 0.05)
        if ready:
            chunk = os.read(pipe, 1 << 20)
            text += chunk
            if not chunk:
                os.close(pipe)
                return text, False
        now = time.monotonic()
        if now > until_s:
            os.kill(pid, signal.SIGKILL)
        if not gone_s and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            gone_s = now
        if gone_s and now > gone_s + 1.0:
            os.close(pipe)
            return text, True


def main() -> None:
    """Serve until stdin closes."""
    if "TORCHDOJO_TEST_UNPROTECTED" not in os.environ:
        sandbox.protect_interpreter()
    preload.one_thread()
    missing = preload.preload(sys.argv[1:])
    world = World()
    print(json.dumps({"missing": missing, "world": world.plain()}), flush=True)
    try:
        for line in sys.stdin:
            print(json.dumps(do(world, json.loads(line))), flush=True)
    finally:
        world.end()


if __name__ == "__main__":
    main()

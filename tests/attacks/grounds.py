"""What lies around a course that is attacked: programs that listen, another process, places where a mark may stay."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

SHARED = ("/tmp", "/var/tmp", "/dev/shm")
_VICTIM = """
import signal, sys, time
secret = bytearray(sys.stdin.readline().encode())
print("ready", flush=True)
time.sleep(3600)
"""


class Grounds:
    """Opened by `with`. `words(mark)` are for an attack's cells, `marks()` says which marks came out or stayed.

    `temporary` is where the grader makes its own folders, `scratch` where anybody may write.
    """

    def __init__(self, course: Path, scratch: Path, victims_secret: str) -> None:
        self.course, self.scratch = course, scratch
        self.heard = b""
        self._secret = victims_secret
        self._stop = threading.Event()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self.scratch.mkdir(parents=True)
        self.tcp = self._socket(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0))
        self.udp = self._socket(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0))
        self.folder = Path("/tmp") / f"attacked-{os.getpid()}-{time.monotonic_ns()}"  # a socket's path is short
        self.folder.mkdir()
        self._open.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self.unix = self._socket(socket.AF_UNIX, socket.SOCK_STREAM, str(self.folder / "socket"))
        self.abstract = self._socket(socket.AF_UNIX, socket.SOCK_STREAM, f"\0{self.folder.name}")
        self.victim = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, self.folder.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._open.enter_context(self.victim)
        self._open.callback(self.victim.kill)
        assert self.victim.stdin is not None
        assert self.victim.stdout is not None
        self.victim.stdin.write(self._secret + "\n")
        self.victim.stdin.flush()
        assert self.victim.stdout.readline() == "ready\n"
        listener = threading.Thread(target=self._listen)
        listener.start()
        self._open.callback(listener.join)
        self._open.callback(self._stop.set)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def _socket(
        self, family: socket.AddressFamily, kind: socket.SocketKind, address: tuple[str, int] | str
    ) -> socket.socket:
        one = self._open.enter_context(socket.socket(family, kind))
        one.bind(address)
        if kind is socket.SOCK_STREAM:
            one.listen()
        return one

    def _listen(self) -> None:
        listening, talking = [self.tcp, self.unix, self.abstract], [self.udp]
        with contextlib.ExitStack() as connections:
            while not self._stop.is_set():
                for ready in select.select([*listening, *talking], [], [], 0.2)[0]:
                    if ready in listening:
                        talking.append(connections.enter_context(ready.accept()[0]))
                        continue
                    try:
                        said = ready.recv(4096)
                    except OSError:
                        said = b""
                    self.heard += said
                    if not said and ready is not self.udp:
                        talking.remove(ready)

    def words(self, mark: str) -> dict[str, str]:
        """What stands for each @word@ in an attack's cells. The mark is written from right to left there."""
        return {
            "mark": mark[::-1],
            "course": str(self.course),
            "scratch": str(self.scratch),
            "data": str(self.course / "data"),
            "tcp": str(self.tcp.getsockname()[1]),
            "udp": str(self.udp.getsockname()[1]),
            "unix": str(self.folder / "socket"),
            "abstract": self.folder.name,
            "victim": str(self.victim.pid),
            "grader": str(os.getpid()),
        }

    def marks(self, marks: Iterable[str]) -> dict[str, list[str]]:
        """Which of these marks came out or stayed, and where. What stayed is removed, and ended."""
        places = [*SHARED, str(self.scratch), str(self.course), str(self.course / "data"), os.path.expanduser("~")]
        found: dict[str, list[str]] = {mark: ["heard by a socket"] for mark in marks if mark.encode() in self.heard}
        for mark, where in self._lying_about(marks, places):
            found.setdefault(mark, []).append(where)
            _remove(Path(where))
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                for mark in marks:
                    if mark in line:
                        found.setdefault(mark, []).append(f"process {line[:100]}")
                        process.kill()
        return found

    @staticmethod
    def _lying_about(marks: Iterable[str], places: Iterable[str]) -> Iterator[tuple[str, str]]:
        for place in places:
            for entry in os.listdir(place) if os.path.isdir(place) else ():
                for mark in marks:
                    if mark in entry:
                        yield mark, os.path.join(place, entry)

    def victim_lives(self) -> bool:
        return self.victim.poll() is None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


class Family:
    """The processes below one that is being watched, told apart from those of other graders on the machine."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._seen: dict[int, psutil.Process] = {}
        self._zygotes: set[str] = set()

    def look(self) -> None:
        """Take note of who is there now."""
        with contextlib.suppress(psutil.Error):
            for process in self._root.children(recursive=True):
                self._seen.setdefault(process.pid, process)
                with contextlib.suppress(psutil.Error):
                    line = process.cmdline()
                    if "torchdojo.kernels.zygote" in line:
                        self._zygotes.add(" ".join(line))

    def left(self) -> list[str]:
        """Who is still there: seen before, or forked from one of its warm parents since."""
        left = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                known = process.pid in self._seen and self._seen[process.pid] == process
                if process.status() != psutil.STATUS_ZOMBIE and (known or line in self._zygotes):
                    left.append(f"{process.pid} {line[:100]}")
        return left

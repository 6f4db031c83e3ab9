"""The warm server: keeps a parent of kernels between checks, one course's, one check at a time.

`python -m torchdojo.practice.warm_server SOCKET COURSE` says "ready" and serves. It ends after a quarter of an hour
without work, when it is told to, and when what it was started from has changed. Whatever is killed, everything below it
ends with it (see kernels.zygote).
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from torchdojo.errors import OursError, TorchdojoError
from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.execute import CellRunner, Runner, Session
from torchdojo.kernels.job import Job, Result
from torchdojo.kernels.sandbox_probe import probe
from torchdojo.kernels.tree import kill_below
from torchdojo.kernels.warm import Zygote
from torchdojo.practice.channel import Door, Gone, Line
from torchdojo.practice.judging import Event, Judging
from torchdojo.practice.prepare import prepare
from torchdojo.practice.request import Request
from torchdojo.practice.stamp import stamp

IDLE_S = 15 * 60.0
_REQUEST_WITHIN_S = 10.0
_KILL_WITHIN_S = 5.0
_LAST_JOB_WITHIN_S = 10.0  # once it was stopped, for its folders to be removed


class WarmRunner:
    """A runner of one job at a time whose parent of kernels stays, also when the job at work is ended."""

    def __init__(self) -> None:
        self._runner = Runner(self._runner_of, self._new_zygote)
        self._starting: Zygote | None = None
        self._zygote: Zygote | None = None
        self._judging: Judging | None = None
        self._unwanted = threading.Event()
        self._killed = False

    def execute(self, job: Job, judging: Judging, unwanted: threading.Event) -> Result:
        """As a runner does. `unwanted` is set before `end_job`, at any time."""
        self._judging, self._unwanted = judging, unwanted
        return self._runner.execute(job)

    def end_job(self) -> None:
        """End the job at work, from another thread: all its processes, but not the one that they come from."""
        zygote = self._zygote
        if zygote is not None:
            kill_below(zygote.pid, time.monotonic() + _KILL_WITHIN_S)

    def kill(self) -> None:
        """End the job at work and the warm parent, from another thread. Nothing can be executed afterwards."""
        self._killed = True
        self._runner.stop()
        starting = self._starting
        if starting is not None:
            starting.kill()

    def close(self) -> None:
        """Let go of the warm parent."""
        self._runner.close()

    def _runner_of(self, session: Session, cell: CodeCell) -> CellRunner:
        """Called by the runner for each cell."""
        if self._unwanted.is_set():
            self.end_job()  # a kernel that was started meanwhile
        assert self._judging is not None
        return self._judging.runner_of(session, cell)

    def _new_zygote(self, modules: Sequence[str]) -> Zygote:
        """Called by the runner when it has no warm parent, or one that lacks modules."""
        assert self._judging is not None
        self._judging.tell_warming()
        self._zygote = None
        try:
            self._zygote = Zygote.start(modules, started=self._started)
        finally:
            self._starting = None
        return self._zygote

    def _started(self, zygote: Zygote) -> None:
        self._starting = zygote
        if self._killed:
            zygote.kill()


class _Ended(Exception):
    """The server is to end."""


class Server:
    """Answers at one socket, in a process that does nothing else."""

    def __init__(self, name: str, stamp: str, idle_s: float = IDLE_S) -> None:
        """`name` is the socket's, `stamp` what this process was started from."""
        self._name = name
        self._stamp = stamp
        self._idle_s = idle_s
        self._warm = WarmRunner()
        self._work = threading.Lock()  # one check at a time
        self._attending: list[threading.Thread] = []  # one a line
        self._ending = False
        self._last_s = time.monotonic()
        self._probe = functools.cache(probe)  # the machine stays the same
        with Door() as door:
            self._listener = door.listen(name)  # who started this process holds the lock
            self._identity = door.identity(name)

    def serve(self) -> None:
        """Answer until there is a reason to end. In the main thread: a SIGTERM is one."""
        signal.signal(signal.SIGTERM, _end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(_Ended):
            self.serve_connections()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self.close()

    def serve_connections(self) -> None:
        """Answer until there has been nothing to do for so long."""
        while True:
            self._attending = [thread for thread in self._attending if thread.is_alive()]
            left_s = self._last_s + self._idle_s - time.monotonic()
            if left_s <= 0 and not self._attending:
                return
            self._listener.settimeout(max(left_s, 0.1))
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            connection.settimeout(None)
            thread = threading.Thread(target=self._attend, args=[connection], daemon=True)
            thread.start()
            self._attending.append(thread)

    def close(self) -> None:
        """End the check at work and the warm parent; leave nothing behind."""
        self._ending = True
        self._withdraw()
        self._warm.kill()
        self._work.acquire(timeout=_LAST_JOB_WITHIN_S)
        self._warm.close()
        self._listener.close()

    def _withdraw(self) -> None:
        """Take the socket away, so that the next check starts another server."""
        with suppress(OursError), Door() as door, door.locked():
            if door.identity(self._name) == self._identity:
                door.remove(self._name)

    # ------------------------------------------------------------------------------------ one conversation

    def _attend(self, connection: socket.socket) -> None:
        with Line(connection) as line:
            if line.peer()[1] == os.getuid():
                with suppress(Gone):
                    self._answer(line, line.receive(_REQUEST_WITHIN_S))
        self._last_s = time.monotonic()

    def _answer(self, line: Line, asked: dict[str, Any] | None) -> None:
        if asked is None:
            return
        if asked.get("do") == "stop":
            _end_process()
            line.receive()  # the line stays open until this process is no more, which is the answer
        elif asked.get("stamp") != self._stamp:
            self._withdraw()
            with suppress(Gone):
                line.send({"event": "outdated"})
            with self._work:  # the check at work is let be
                _end_process()
        elif asked.get("do") == "check":
            if self._work.locked():
                line.send({"event": "at", "sentence": "another check is at work, this one is next"})
            with self._work:
                if not self._ending:  # or else hang up: the other end will start another server
                    self._check(line, asked["request"])

    def _check(self, line: Line, request: dict[str, Any]) -> None:
        def tell(event: Event) -> None:
            with suppress(Gone):  # `_until_hang_up` notices it
                line.send(event)

        try:
            prepared = prepare(Request.of(request), self._probe)
            judging = Judging(prepared, tell)
            with self._until_hang_up(line) as unwanted:
                result = self._warm.execute(prepared.job, judging, unwanted)
            judging.finish(result)
        except TorchdojoError as error:
            tell({"event": "error", "sentence": str(error), "status": error.exit_status})
        except Exception as error:
            sentence = (
                f"The check failed: {type(error).__name__}: {error}. This is a fault of torchdojo; please report it."
            )
            tell({"event": "error", "sentence": sentence, "status": 3})

    @contextmanager
    def _until_hang_up(self, line: Line) -> Iterator[threading.Event]:
        """The job inside is ended when the other end hangs up; the event is set then."""

        def watch() -> None:
            line.receive()  # it says nothing more, so this returns when it is gone, or when we stop listening
            if not done.is_set():
                unwanted.set()
                self._warm.end_job()

        done, unwanted = threading.Event(), threading.Event()
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            yield unwanted
        finally:
            done.set()
            line.stop_listening()
            watcher.join()


def _end(_number: int, _frame: Any) -> None:
    """Called by Python at SIGTERM, in the main thread."""
    raise _Ended


def _end_process() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> None:
    """Serve at the socket that the first argument names; the second, the course, is for who lists processes."""
    now = stamp()
    os.chdir("/")
    server = Server(arguments[0], now)
    print("ready", flush=True)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    server.serve()


if __name__ == "__main__":
    main(sys.argv[1:])

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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from torchdojo.errors import OursError, TorchdojoError
from torchdojo.kernels.cells import CodeCell
from torchdojo.kernels.execute import CellRunner, Runner, Session
from torchdojo.kernels.job import Job, Result
from torchdojo.kernels.pool import Stem
from torchdojo.kernels.sandbox_probe import probe
from torchdojo.practice.channel import Door, Gone, Line
from torchdojo.practice.judging import Judging
from torchdojo.practice.prepare import prepare
from torchdojo.practice.request import Request
from torchdojo.practice.stamp import stamp

IDLE_S = 15 * 60.0
_REQUEST_WITHIN_S = 10.0
_LAST_JOB_WITHIN_S = 10.0  # once it was stopped, for its folders to be removed


class WarmRunner:
    """A runner whose parent stays warm, also when the job at work is stopped."""

    def __init__(self) -> None:
        self.modules: frozenset[str] = frozenset()  # that were imported
        self._stem: Stem | None = None
        self._runner: Runner | None = None
        self._judging: Judging | None = None

    def is_warm_for(self, job: Job) -> bool:
        """Whether it can start at once."""
        return self.modules.issuperset(job.preload)

    @contextmanager
    def lent(self, job: Job, judging: Judging) -> Iterator[Runner]:
        """The runner for `job`, and for no other at the same time."""
        if not self.is_warm_for(job) or self._stem is None:
            self._end()
            self.modules = self.modules.union(job.preload)
            self._stem = Stem(sorted(self.modules), gather=False)
        if self._runner is None:
            self._runner = Runner(self._runner_of, self._stem.branch)
        self._judging = judging
        try:
            yield self._runner
        finally:
            self._judging = None

    def _runner_of(self, session: Session, cell: CodeCell) -> CellRunner:
        if self._judging is None:
            raise OursError("No check is at work.")
        return self._judging.runner_of(session, cell)

    def stop(self) -> None:
        """End the job at work, from any thread. The next has a new runner, of the same parent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            runner.stop()

    def close(self) -> None:
        """End the job at work and the parent, from any thread."""
        self.stop()
        if self._stem is not None:
            self._stem.close()

    def _end(self) -> None:
        if self._runner is not None:
            self._runner.close()
        if self._stem is not None:
            self._stem.close()
        self._runner = self._stem = None


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
            while True:
                self._attending = [thread for thread in self._attending if thread.is_alive()]
                left_s = self._last_s + self._idle_s - time.monotonic()
                if left_s <= 0 and not self._attending:
                    break
                self._listener.settimeout(max(left_s, 1.0))
                try:
                    connection, _ = self._listener.accept()
                except TimeoutError:
                    continue
                connection.settimeout(None)
                thread = threading.Thread(target=self._attend, args=[connection], daemon=True)
                thread.start()
                self._attending.append(thread)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._close()

    def _close(self) -> None:
        self._ending = True
        self._withdraw()
        self._warm.close()
        self._work.acquire(timeout=_LAST_JOB_WITHIN_S)
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
                    self._answer(line, line.receive(_REQUEST_WITHIN_S) or {})
        self._last_s = time.monotonic()

    def _answer(self, line: Line, asked: dict[str, Any]) -> None:
        if asked.get("do") == "stop":
            line.send({"event": "stopped"})
            os.kill(os.getpid(), signal.SIGTERM)
        elif asked.get("stamp") != self._stamp:
            self._withdraw()
            line.send({"event": "outdated"})
            with self._work:  # the check at work is let be
                os.kill(os.getpid(), signal.SIGTERM)
        elif asked.get("do") == "check":
            if self._work.locked():
                line.send({"event": "at", "sentence": "another check is at work, this one is next"})
            with self._work:
                if not self._ending:  # or else hang up: the other end will start another server
                    self._check(line, asked["request"])

    def _check(self, line: Line, request: dict[str, Any]) -> None:
        try:
            prepared = prepare(Request.of(request), self._probe)
            judging = Judging(prepared, line.send)
            if not self._warm.is_warm_for(prepared.job):
                sentence = f"warming up: importing what {prepared.assignment} needs, once"
                line.send({"event": "at", "sentence": sentence})
            with self._warm.lent(prepared.job, judging) as runner:
                result = self._executed(runner, prepared.job, line)
            judging.finish(result)
        except TorchdojoError as error:
            line.send({"event": "error", "sentence": str(error), "status": error.exit_status})
        except Gone:
            raise
        except Exception as error:
            sentence = f"The check failed: {type(error).__name__}: {error}. This is a fault of torchdojo; please report it."
            line.send({"event": "error", "sentence": sentence, "status": 3})

    def _executed(self, runner: Runner, job: Job, line: Line) -> Result:
        """Run the job, and stop it when the other end hangs up."""

        def watch() -> None:
            line.receive()  # it says nothing more, so this returns when it is gone, or when we hang up
            if not done.is_set():
                self._warm.stop()

        done = threading.Event()
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return runner.execute(job)
        finally:
            done.set()
            line.stop_listening()
            watcher.join()


def _end(_number: int, _frame: Any) -> None:
    raise _Ended


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

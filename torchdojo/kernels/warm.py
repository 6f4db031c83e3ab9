"""A runner's hold on its zygote: start it, ask it for kernels, have a job's remains cleared away.

Every wait has a deadline; a zygote that does not answer is killed, and `ZygoteDied` is raised.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchdojo.errors import OursError
from torchdojo.kernels import wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.preload import THREAD_VARIABLES
from torchdojo.kernels.surroundings import clean_environment
from torchdojo.kernels.tree import Tree

# Long, for a machine that does much else: only a process that is stuck needs them.
START_WITHIN_S = 600.0
ANSWER_WITHIN_S = 60.0
END_WITHIN_S = 20.0


class ZygoteDied(Exception):
    """The warm parent ended or stopped answering; what it was running is lost."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a job's kernel ended: by a signal, with an exit status, or (both empty) not seen. CPU of all it started."""

    signal: int
    exit: int | None
    cpu_s: float


def _environment() -> dict[str, str]:
    return clean_environment(
        {
            **dict.fromkeys(THREAD_VARIABLES, "1"),
            "PYTHONHASHSEED": "0",  # sets of strings are in the same order in every run
            "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # is_available() must not touch the driver: no fork could use it then
        }
    )


class Zygote:
    """One warm parent, or a branch of one. Used by one runner, one job after the other."""

    def __init__(self, pid: int, requests: socket.socket, modules: frozenset[str], missing: tuple[str, ...]) -> None:
        self.pid = pid
        self.tree = Tree(pid)  # all that is below it is the job's
        self.modules = modules
        self.missing = missing
        self._requests = requests
        self._pidfd = os.pidfd_open(pid)
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def start(
        cls,
        modules: Iterable[str] = (),
        *,
        gather: bool = False,
        started: Callable[[Zygote], None] | None = None,
    ) -> Zygote:
        """Start a process, import `modules` in it, and return when it is ready to fork.

        `gather` makes each fork cheaper and the start dearer; it pays from about 50 jobs on.
        `started` is called as soon as there is a process, seconds earlier, for who may want to kill it before.

        Raises:
            OursError: it did not start; the message has its last words.
        """
        wanted = dict.fromkeys(("numpy", *modules))  # numpy always: its random numbers are seeded for every job
        ours, theirs = wire.pair()
        folder = Path(tempfile.mkdtemp(prefix="torchdojo-zygote-"))
        log = folder / "log"
        arguments = (str(theirs.fileno()), str(folder / "ipython"), str(int(gather)))
        with open(log, "wb") as output, theirs:
            process = subprocess.Popen(
                [sys.executable, "-m", "torchdojo.kernels.zygote", *arguments, *wanted],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,
                env=_environment(),
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        zygote = cls(process.pid, ours, frozenset(wanted), ())
        zygote._process = process
        if started is not None:
            started(zygote)
        try:
            ready = zygote._answer(START_WITHIN_S)
            if ready["threads"] != 1:
                raise ZygoteDied(f"it has {ready['threads']} threads, and a fork copies only one")
        except ZygoteDied as error:
            words = log.read_text(errors="replace").strip()[-2000:]
            zygote.close()
            raise OursError(f"The warm parent did not start: {error}. It said: {words or 'nothing'}") from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        zygote.missing = tuple(ready["missing"])
        return zygote

    def fileno(self) -> int:
        """Readable only when the zygote is gone: it speaks when spoken to."""
        return self._requests.fileno()

    def branch(self) -> Zygote:
        """Another zygote, forked from this one, for another runner. This one must not fork kernels itself.

        Raises:
            ZygoteDied
        """
        ours, theirs = wire.pair()
        try:
            answer = self._ask({"do": "branch"}, [theirs.fileno()])
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return Zygote(answer["pid"], ours, self.modules, self.missing)

    def fork(self, birth: Birth, descriptors: Sequence[int]) -> int:
        """Fork a kernel; see `child.become_kernel` for the descriptors. Returns the process id.

        Raises:
            ZygoteDied
        """
        return int(self._ask({"do": "fork", "birth": birth.to_plain()}, descriptors)["pid"])

    def end(self, of: int = 0, keep: Iterable[int] = ()) -> Ended:
        """Kill the job and all that it started, wait until nothing of it is left, and say how the kernel `of` ended.

        `keep` are kernels that go on, with all that they started.

        Raises:
            ZygoteDied: also where something would not die.
        """
        with suppress(OSError):  # a job may have stopped it
            signal.pidfd_send_signal(self._pidfd, signal.SIGCONT)
        answer = self._ask({"do": "end", "of": of, "keep": list(keep)}, within_s=END_WITHIN_S)
        if answer["left"]:
            self.kill()
            raise ZygoteDied("a process of the job could not be killed")
        return Ended(answer["signal"], answer["exit"], answer["cpu_s"])

    def close(self) -> None:
        """End the zygote and everything below it. Takes 2 s at most."""
        self._requests.close()
        if self._process is not None:
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self.kill()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def kill(self) -> None:
        """Kill the zygote at once; its kernels die with it."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(5)

    def _ask(
        self, request: dict[str, Any], descriptors: Sequence[int] = (), within_s: float = ANSWER_WITHIN_S
    ) -> dict[str, Any]:
        try:
            socket.send_fds(self._requests, [json.dumps(request).encode()], list(descriptors))
        except OSError as error:
            raise ZygoteDied(str(error)) from None
        answer = self._answer(within_s)
        if "error" in answer:
            raise OursError(answer["error"])
        return answer

    def _answer(self, within_s: float) -> dict[str, Any]:
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        if not poll.poll(within_s * 1000):
            self.kill()
            raise ZygoteDied(f"no answer in {within_s:g} s")
        try:
            packet = self._requests.recv(wire.PACKET_BYTES)
        except OSError as error:
            raise ZygoteDied(str(error)) from None
        if not packet:
            raise ZygoteDied("it ended")
        answer: dict[str, Any] = json.loads(packet)
        return answer

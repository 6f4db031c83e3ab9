"""The warm parent: a process that has imported everything, and forks one kernel for each job.

It holds no secret (a kernel can read its copy of all of it), starts no thread and touches no GPU. Started by
`warm.Zygote.start`, which also says what each request means; it ends, with everything below it, when its runner does.
"""

from __future__ import annotations

import gc
import json
import os
import select
import shutil
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from torchdojo.errors import OursError
from torchdojo.kernels import linux, sandbox, surroundings, tree, wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.child import become_kernel, ignore_signals_of_a_terminal
from torchdojo.kernels.preload import preload, warm_up
from torchdojo.kernels.shell import ForkedKernel, new_kernel

KILL_WITHIN_S = 5.0


class Server:
    """Answers one runner's requests, one after the other, in a process that does nothing else."""

    def __init__(self, kernel: ForkedKernel, requests: socket.socket) -> None:
        self._kernel = kernel
        self._requests = requests
        self._pid = os.getpid()
        self._parent = os.getppid()
        self._branches: set[int] = set()
        self._kernels: list[int] = []  # of the job: the student's, and a checker's if there is one
        self._folders: list[str] = []
        self._prepared: dict[str, Any] = {}

    def serve(self) -> NoReturn:
        """Answer until the runner is gone."""
        poll = select.poll()
        poll.register(self._requests, select.POLLIN)
        while True:
            if not poll.poll(2000):
                if os.getppid() != self._parent:
                    self._leave()
                continue
            try:
                packet, descriptors, _, _ = socket.recv_fds(self._requests, wire.PACKET_BYTES, 8)
            except OSError:
                self._leave()
            if not packet:
                self._leave()
            request = json.loads(packet)
            try:
                answer = getattr(self, "_do_" + request["do"])(request, descriptors)
            except OursError as error:
                answer = {"error": str(error)}
            except Exception as error:
                answer = {"error": f"The warm parent failed: {type(error).__name__}: {error}"}
            for number in descriptors:
                os.close(number)
            try:
                self._requests.send(json.dumps(answer).encode())
            except OSError:
                self._leave()

    def _do_fork(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """Fork a kernel; the descriptors are `become_kernel`'s."""
        birth = Birth(**request["birth"])
        birth = replace(birth, sandbox={**birth.sandbox, "home_files": surroundings.list_of_fonts()})
        alike = {**birth.sandbox, "folder": "/"}
        if alike != self._prepared:
            sandbox.prepare(birth.sandbox)
            self._prepared = alike
        pid = sandbox.fork(birth.sandbox)
        if pid == 0:
            self._requests.close()
            become_kernel(self._kernel, birth, descriptors, self._pid)
        self._kernels.append(pid)
        self._folders.append(birth.sandbox["folder"])
        return {"pid": pid}

    def _do_branch(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """Fork a zygote for another runner; the descriptor is its end of the channel. The memory is shared."""
        self._kill(keep=self._branches)
        pid = os.fork()
        if pid == 0:
            self._requests.close()
            tree.die_with_parent()
            _prepare_process()
            Server(self._kernel, socket.socket(fileno=descriptors[0])).serve()
        self._branches.add(pid)
        return {"pid": pid}

    def _do_end(self, request: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """Kill the job and whatever it left behind; say how one kernel ended and what CPU all of it used."""
        kept = set(request["keep"])
        ended, usage_s, left = self._kill(keep=self._branches | kept)
        self._branches -= ended.keys()
        status = ended.get(request["of"])
        self._kernels = [pid for pid in self._kernels if pid in kept and pid not in ended]
        if not self._kernels:
            self._folders = []  # the runner removes them
        return {
            "signal": os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else 0,
            "exit": os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None,
            "cpu_s": usage_s,
            "left": left,
        }

    def _kill(self, keep: set[int]) -> tuple[dict[int, int], float, bool]:
        """Kill and reap all children but `keep`: wait statuses by id, CPU seconds, whether any would not die."""
        ended: dict[int, int] = {}
        usage_s = 0.0
        until_s = time.monotonic() + KILL_WITHIN_S
        kernels = set(self._kernels) - keep
        for kernel in kernels:
            with suppress(ProcessLookupError):
                os.kill(kernel, signal.SIGKILL)
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG if ended.keys() >= kernels else 0)
            except ChildProcessError:  # exact: as subreaper, no child means nothing below at all
                return ended, usage_s, False
            if pid:
                ended[pid] = status
                usage_s += usage.ru_utime + usage.ru_stime
                keep.discard(pid)
            elif keep and not (_children(self._pid) - keep):
                return ended, usage_s, False
            elif time.monotonic() > until_s:
                return ended, usage_s, True
            else:
                tree.kill_below(self._pid, until_s, keep)
                time.sleep(0.001)

    def _leave(self) -> NoReturn:
        """End, and everything below with it; clear away what a runner that was killed could not."""
        self._kill(keep=set())
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        os._exit(0)


def _children(pid: int) -> set[int]:
    return {child for child in tree.Tree(pid).look() if tree.parent_of(child) == pid}


def _prepare_process() -> None:
    if os.getpgrp() != os.getpid():
        os.setsid()
    tree.become_subreaper()
    ignore_signals_of_a_terminal()


def main(arguments: list[str]) -> NoReturn:
    """`python -m torchdojo.kernels.zygote DESCRIPTOR FOLDER GATHER MODULE…`: import, say "ready", serve.

    GATHER is 1 to move all memory into huge pages: 1.4 s of CPU once, and each job costs 30 ms less.
    """
    sandbox.protect_interpreter()  # may begin this program anew, so it comes first
    requests = socket.socket(fileno=int(arguments[0]))
    with suppress(ValueError):
        sys.path.remove(os.getcwd())  # put there by -m
    _prepare_process()
    kernel = new_kernel(Path(arguments[1]))
    missing = preload(arguments[3:])
    warm_up(kernel.shell)
    os.chdir("/")  # the runner removes the folder it was started in
    gc.collect()
    gc.freeze()
    if arguments[2] == "1":
        linux.gather_memory()
    threads = len(os.listdir("/proc/self/task"))
    try:
        requests.send(json.dumps({"ready": True, "missing": missing, "threads": threads}).encode())
    except OSError:  # the runner is gone, and cannot remove the folder
        shutil.rmtree(Path(arguments[1]).parent, ignore_errors=True)
        os._exit(1)
    Server(kernel, requests).serve()


if __name__ == "__main__":
    main(sys.argv[1:])

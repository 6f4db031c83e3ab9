"""Runners side by side on one machine, in the shape of `concurrent.futures.Executor`.

Threads, not processes: a runner waits on pipes nearly all the time (bench/kernels_overhead.py prints its share), and
jobs and results need no pickling. What could crash runs in kernels, which are processes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

import psutil

from torchdojo.kernels.execute import Runner, RunnerOf, run_everything_in_kernel, use_runner
from torchdojo.kernels.warm import Zygote, ZygoteDied

_MIB = 1024 * 1024
_MANY_JOBS = 20


def auto_workers(memory_mib: int) -> int:
    """As many runners as there are cores for this process, and as memory allows when each job uses half its limit."""
    cores = len(os.sched_getaffinity(0))
    if memory_mib <= 0:
        return cores
    return max(1, min(cores, int(psutil.virtual_memory().available / _MIB / (memory_mib / 2))))


def has_gpu() -> bool:
    """Whether this machine has a GPU that torch could use. Touches none: a process that forks must not."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return hidden not in ("", "-1") and any(Path("/dev").glob("nvidia[0-9]*"))


class Stem:
    """The zygote that all runners' zygotes branch from: modules are imported once and lie in memory once."""

    def __init__(self, modules: Sequence[str], gather: bool) -> None:
        """Start it in the background; the first `branch` waits for it."""
        self._gather = gather
        self._lock = threading.Lock()
        self._modules = frozenset(modules)
        self._zygote: Zygote | None = None
        self._starting: Zygote | None = None
        self._former: list[Zygote] = []  # with branches that runners may still use
        self._closed = False
        threading.Thread(target=self._start_early, name="torchdojo zygote", daemon=True).start()

    def _start_early(self) -> None:
        try:
            with self._lock:
                self._ready(())
        except Exception:  # the first branch meets it again, and says so
            return

    def branch(self, modules: Sequence[str]) -> Zygote:
        """A zygote for one runner, which has imported `modules`.

        Raises:
            OursError: none can be started.
            ZygoteDied: the stem was closed.
        """
        with self._lock:
            for last in (False, True):
                try:
                    return self._ready(modules).branch()
                except ZygoteDied:
                    if last or self._closed:
                        raise
                    if self._zygote is not None:
                        self._zygote.close()
                        self._zygote = None
        raise AssertionError

    def _ready(self, modules: Sequence[str]) -> Zygote:
        if self._closed:
            raise ZygoteDied("the pool was shut down")
        if self._zygote is not None and not self._zygote.modules.issuperset(modules):
            self._former.append(self._zygote)
            self._zygote = None
        if self._zygote is None:
            self._modules = self._modules.union(modules)
            self._zygote = Zygote.start(sorted(self._modules), gather=self._gather, started=self._started)
            self._starting = None
        return self._zygote

    def _started(self, zygote: Zygote) -> None:
        self._starting = zygote
        if self._closed:
            zygote.kill()

    def close(self) -> None:
        """End it, and with it every branch and kernel; one that is being started too."""
        self._closed = True
        starting = self._starting
        if starting is not None:
            starting.kill()
        with self._lock:
            zygotes = [*self._former, *([self._zygote] if self._zygote else [])]
            self._former, self._zygote = [], None
        for zygote in zygotes:
            zygote.close()


class Pool(ThreadPoolExecutor):
    """`submit(execute, job) -> Future[Result]`, each worker with a runner of its own.

    A zygote that dies is replaced and its job tried again once, by its runner. Leaving a `with` block by an exception
    (Ctrl-C) ends all jobs at work within two seconds; their results say that they were not graded.
    """

    def __init__(
        self,
        workers: int,
        preload: Sequence[str] = (),
        jobs: int = 0,
        runner_of: RunnerOf = run_everything_in_kernel,
    ) -> None:
        """`preload` is what to import while the first job is being prepared; other jobs may ask for more.

        `jobs` is about how many there will be: for many, a start that takes 1.4 s more makes each cheaper.
        """
        super().__init__(workers, thread_name_prefix="torchdojo runner", initializer=self._take_runner)
        self.workers = workers
        self._stem = Stem(preload, gather=jobs >= _MANY_JOBS)
        self._runner_of = runner_of
        self._runners: list[Runner] = []
        self._stopping = False

    def _take_runner(self) -> None:
        runner = Runner(self._runner_of, self._stem.branch)
        self._runners.append(runner)
        use_runner(runner)
        if self._stopping:
            runner.stop()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As of any Executor; with `cancel_futures`, the jobs at work are ended too."""
        if cancel_futures:
            super().shutdown(wait=False, cancel_futures=True)  # no worker may take up another job
            self._stopping = True
            for runner in self._runners:
                runner.stop()
            self._stem.close()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)
        if wait:
            for runner in self._runners:
                runner.close()
            self._stem.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown(wait=True, cancel_futures=kind is not None)

"""Limits over a job's whole process tree, looked at while a cell runs: memory, processes, disk. And their words."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from torchdojo.kernels import tree
from torchdojo.kernels.job import Limits, Stop

LOOK_EVERY_S = 0.05
_SHARE_OF_TIME = 0.05  # a look that takes long is repeated more seldom

ERROR_NAMES = {
    "cell_timeout_s": "CellTimeout",
    "notebook_timeout_s": "NotebookTimeout",
    "memory_mib": "MemoryLimit",
    "output_mib": "OutputLimit",
    "disk_mib": "DiskLimit",
    "processes": "ProcessLimit",
}
_SENTENCES = {
    "cell_timeout_s": "This cell was stopped after {reached:.0f} s; cell_timeout_s is {value:g}. "
    "Look for a loop that does not end, or for work that is done again and again.",
    "notebook_timeout_s": "The notebook was stopped in this cell after {reached:.0f} s; notebook_timeout_s is "
    "{value:g}. Make the slow cells faster; this one is only where the time ran out.",
    "memory_mib": "This cell was stopped at {reached:.0f} MiB of memory; memory_mib is {value:g}. "
    "Look for a tensor of the wrong shape, or a list that keeps growing.",
    "output_mib": "This cell was stopped because its notebook put out more than output_mib = {value:g} MiB. "
    "Print less: what came before is kept, the rest is dropped.",
    "disk_mib": "This cell was stopped at {reached:.0f} MiB of files; disk_mib is {value:g}. Write less, or delete it.",
    "processes": "This cell was stopped at {reached:.0f} processes; processes is {value:g}. "
    "Start fewer, and wait for those that you start.",
}


def stop(limit: str, value: float, reached: float) -> Stop:
    """The record of a limit that was reached, with its sentence."""
    return Stop(limit, value, reached, _SENTENCES[limit].format(value=value, reached=reached))


class Watch:
    """Looks at a tree of processes and at `folders`, as often as it is worth."""

    def __init__(self, processes: tree.Tree, folders: Sequence[str], limits: Limits) -> None:
        self._tree = processes
        self._folders = folders
        self._limits = limits
        self._next_look_s = time.monotonic() + LOOK_EVERY_S
        self._next_exact_s = 0.0
        self._next_disk_s = 0.0
        if max(limits.processes, limits.memory_mib, limits.disk_mib) <= 0:
            self._next_look_s = math.inf  # another's watch holds this tree to its limits

    def wait_s(self) -> float:
        """Seconds until the next look is due."""
        return max(0.0, self._next_look_s - time.monotonic())

    def look(self) -> Stop | None:
        """The first limit found to be passed, if a look is due."""
        start = time.monotonic()
        if start < self._next_look_s:
            return None
        found = self._processes() or self._memory(start) or self._disk(start)
        end = time.monotonic()
        self._next_look_s = end + max(LOOK_EVERY_S, (end - start) / _SHARE_OF_TIME)
        return found

    def _processes(self) -> Stop | None:
        count = len(self._tree.look())
        allowed = self._limits.processes
        return stop("processes", allowed, count) if 0 < allowed < count else None

    def _memory(self, now_s: float) -> Stop | None:
        allowed = self._limits.memory_mib
        if allowed <= 0 or tree.anonymous_mib(self._tree.members) <= allowed or now_s < self._next_exact_s:
            return None
        held = tree.proportional_mib(self._tree.members)
        took_s = time.monotonic() - now_s
        self._next_exact_s = now_s + took_s / _SHARE_OF_TIME
        return stop("memory_mib", allowed, held) if held > allowed else None

    def _disk(self, now_s: float) -> Stop | None:
        allowed = self._limits.disk_mib
        if allowed <= 0 or now_s < self._next_disk_s:
            return None
        mib = 1024 * 1024
        held = tree.size_on_disk(self._folders, allowed * mib)
        took_s = time.monotonic() - now_s
        self._next_disk_s = now_s + max(0.25, took_s / _SHARE_OF_TIME)
        return stop("disk_mib", allowed, held / mib) if held > allowed * mib else None

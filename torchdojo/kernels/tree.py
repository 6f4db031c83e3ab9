"""A job's processes, as Linux lists them: who descends from whom, what memory they hold, and how they end.

A zygote is the subreaper of everything that is forked from it (prctl PR_SET_CHILD_SUBREAPER), so nothing a job starts
can leave the tree below it, however it daemonises.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

from torchdojo.kernels import linux

_SET_PDEATHSIG = 1  # of prctl(2)
_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make this process the new parent of every orphan below it."""
    linux.prctl(_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when the thread that forked it ends."""
    linux.prctl(_SET_PDEATHSIG, signal.SIGKILL)


def parent_of(pid: int) -> int:
    """The parent's id, or 0 for a process that is gone."""
    return _stat(pid, 4)


def _stat(pid: int, field: int) -> int:
    """A field of /proc/PID/stat as proc_pid_stat(5) numbers them, or 0 for a process that is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[field - 3])
    except (OSError, IndexError, ValueError):
        return 0


class Tree:
    """The processes below `root`, looked up again and again at little cost.

    A process that is not below `root` never comes to be, so each stranger is looked at once; most Linux kernels list
    a process's children (CONFIG_PROC_CHILDREN), but not all. Branches that start at `without` are left out.
    """

    def __init__(self, root: int, without: Iterable[int] = ()) -> None:
        self.root = root
        self._strangers: set[int] = set(without)
        self.members: set[int] = set()
        self._looked_s = 0.0

    def look(self) -> set[int]:
        """The descendants of `root` now, zombies included, `root` left out."""
        self._looked_s = time.clock_gettime(time.CLOCK_BOOTTIME)
        listed = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
        self._strangers &= listed
        unknown = listed - self._strangers - {self.root}
        parents = {pid: parent_of(pid) for pid in unknown}
        members: set[int] = set()
        for pid in unknown:
            line = []
            at = pid
            while at in parents and at not in members:
                line.append(at)
                at = parents[at]
            if at == self.root or at in members:
                members.update(line)
            else:
                self._strangers.update(line)
        self.members = members
        return members

    def kill_members(self) -> None:
        """Kill those seen at the last look: for when `root` was killed, and what was below it is below it no more."""
        ticks = os.sysconf("SC_CLK_TCK")
        started = {pid: _stat(pid, 22) for pid in self.members}
        # one that started later is another process with an old id
        send_signal((pid for pid, at in started.items() if 0 < at <= self._looked_s * ticks), signal.SIGKILL)


def kill_below(root: int, until_s: float, without: Iterable[int] = ()) -> None:
    """Stop, then kill, every descendant of `root`; stopped first, so that none forks faster than it is found."""
    tree = Tree(root, without)
    stopped: set[int] = set()
    while time.monotonic() < until_s:
        new = tree.look() - stopped
        if not new:
            break
        send_signal(new, signal.SIGSTOP)
        stopped |= new
    send_signal(tree.members | stopped, signal.SIGKILL)


def send_signal(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; those that are gone, or not ours, are passed over."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def anonymous_mib(pids: Iterable[int]) -> float:
    """Sum of anonymous and shared memory, MiB: cheap, and never less than what the processes hold together."""
    total = 0
    for pid in pids:
        with suppress(OSError, ValueError), open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith((b"RssAnon:", b"RssShmem:")):
                    total += int(line.split()[1])
    return total / 1024


def proportional_mib(pids: Iterable[int]) -> float:
    """Sum of proportional set sizes, MiB: pages shared by n processes count 1/n in each. Takes milliseconds."""
    total = 0.0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith(b"Pss:")) / 1024
        except (FileNotFoundError, ProcessLookupError, StopIteration):
            continue
        except OSError:  # a process that changed its user hides its maps
            total += anonymous_mib([pid])
    return total


def unique_mib(pid: int) -> float:
    """Memory that no other process shares, MiB."""
    with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
        private = [int(line.split()[1]) for line in file if line.startswith(b"Private_")]
    return sum(private) / 1024


def size_on_disk(folders: Iterable[str], at_most_bytes: float) -> int:
    """Bytes below `folders`, each entry counted as one block at least; stops counting beyond `at_most_bytes`."""
    total = 0
    stack = list(folders)
    while stack and total <= at_most_bytes:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    with suppress(OSError):
                        stat = entry.stat(follow_symlinks=False)
                        total += max(stat.st_blocks * 512, 4096)
                        if entry.is_dir(follow_symlinks=False):
                            stack.append(entry.path)
                    if total > at_most_bytes:
                        break
        except OSError:
            continue
    return total

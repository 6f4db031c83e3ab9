"""What a job inherits from the process it was forked from, cut down to its needs: descriptors, environment, limits."""

from __future__ import annotations

import os
import resource
import stat
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from torchdojo.errors import OursError
from torchdojo.kernels import linux

MATPLOTLIB = ".config/matplotlib"  # below HOME
_MIB = 1024 * 1024
_TASKS_PER_PROCESS = 4  # Linux counts threads as it counts processes; the runner counts processes alone
_PASSED_ON = (
    *("LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "PYTHONHASHSEED", "PYTHONWARNINGS", "MPLBACKEND"),
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES"),
)


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What to start a zygote with: of this process's environment only what student code may know, and `more`.

    A forked process can read all of its parent's memory as it was at the fork. What was never there cannot be read.
    """
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = f"{os.path.dirname(sys.executable)}:/usr/local/bin:/usr/bin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8"} | passed | dict(more or {})


def take_environment(home: str, temporary: str, more: Mapping[str, str]) -> None:
    """Make `clean_environment` this process's own, and wipe the one that it was started with from its memory."""
    fresh = clean_environment(more) | {
        "HOME": home,
        "USER": "student",
        "LOGNAME": "student",
        "TMPDIR": temporary,
        "MPLCONFIGDIR": f"{home}/{MATPLOTLIB}",
    }
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[47]), int(fields[48])  # env_start and env_end, fields 50 and 51 of proc_pid_stat(5)
    os.environ.clear()
    os.environ.update(fresh)
    linux.wipe_memory(start, end)
    tempfile.tempdir = None


def own_pipes(keep: Iterable[int], user: int, group: int) -> None:
    """Let a user open the kept pipes anew, as /dev/stdout and /dev/stderr do. Raises OSError."""
    for fd in keep:
        if stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, user, group)


def list_of_fonts() -> tuple[tuple[str, str], ...]:
    """Matplotlib's list of fonts, if it was imported here, as `SandboxSpec.home_files`: making it takes 10 s a job."""
    manager: Any = sys.modules.get("matplotlib.font_manager")
    if manager is None:
        return ()
    name = f"fontlist-v{manager.FontManager.__version__}.json"
    path = os.path.join(sys.modules["matplotlib"].get_cachedir(), name)
    return ((f"{MATPLOTLIB}/{name}", path),) if os.path.exists(path) else ()


def check_kept(keep: Iterable[int]) -> None:
    """Refuse to keep a folder open: a way past any sandbox.

    Raises:
        OursError
    """
    for fd in keep:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OursError(
                f"descriptor {fd} is an open folder, which leads out of any sandbox. Keep only pipes and sockets."
            )


def close_all_but(keep: Iterable[int]) -> None:
    """Close all other descriptors; 0, 1 and 2 are the null device unless kept. Raises OSError."""
    kept = sorted(set(keep))
    at = 0
    for fd in kept:
        if fd > at:  # closerange(0, 0) would close them all
            os.closerange(at, fd)
        at = fd + 1
    os.closerange(at, 1 << 20)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd not in kept and fd != nowhere:
            os.dup2(nowhere, fd)
    os.set_inheritable(nowhere, True) if nowhere <= 2 else os.close(nowhere)


def limit(*, file_mib: int, open_files: int, processes: int, data_mib: int, cpu_s: int) -> None:
    """Set limits that no process below can raise again; zero or less is none. No core file is ever written.

    `processes` is only for a process in a user namespace of its own: elsewhere Linux counts all of a user's.
    `data_mib` is of memory beyond what this process holds already.
    """
    _limit(resource.RLIMIT_CORE, 1)  # not 0: of all sizes only 1 keeps Linux from starting a crash reporter as root
    _limit(resource.RLIMIT_MSGQUEUE, 0)
    if file_mib > 0:
        _limit(resource.RLIMIT_FSIZE, file_mib * _MIB)
    if open_files > 0:
        _limit(resource.RLIMIT_NOFILE, open_files)
    if processes > 0:
        _limit(resource.RLIMIT_NPROC, processes * _TASKS_PER_PROCESS)
    if data_mib > 0:
        held_kib = int(linux.status_field("VmData").partition(" ")[0])
        _limit(resource.RLIMIT_DATA, held_kib * 1024 + data_mib * _MIB)
    if cpu_s > 0:
        _limit(resource.RLIMIT_CPU, cpu_s)


def _limit(which: int, value: int) -> None:
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    with suppress(ValueError):  # a smaller hard limit set by whoever started us
        resource.setrlimit(which, (value, value))

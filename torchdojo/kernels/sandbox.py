"""The sandbox around student code: `fork`, and in the child `enter`, before the first line of it.

Owns the order of the steps; each step is a module: namespaces, private_root, surroundings, landlock, seccomp. Whether a
machine can do all of it is `sandbox_probe`'s question. docs/security.md says what stops what.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import signal
import socket
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from torchdojo.errors import OursError
from torchdojo.kernels import landlock, linux, namespaces, private_root, seccomp, surroundings

Level = Literal["full", "partial", "none"]
LEVELS: tuple[Level, ...] = get_args(Level)
_READ_WHEN_PARTIAL = (
    *("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/nsswitch.conf"),
    *("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version"),
    *("/proc/filesystems", "/proc/sys/kernel", "/proc/sys/vm"),
    *(f"/sys/fs/cgroup/{name}" for name in ("cpu.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")),  # joblib
)


class SandboxError(OursError):
    """The sandbox could not be built. No student code has run. `step` is what failed, `code` its errno or 0."""

    def __init__(self, step: str, code: int = 0) -> None:
        super().__init__(
            f"The sandbox could not be built: {step}. Run `torchdojo doctor` to see what this machine lacks."
        )
        self.step = step
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.step, self.code)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one job gets. Plain data: pickles, and crosses as JSON by `to_plain` and `SandboxSpec(**plain)`.

    `folder` is the job's own, under the same path inside as outside. It is `copied` into memory, and gone with the job,
    or `bound`: then what is written shows outside, where it is hostile (follow no link), and the disk is bounded by
    `file_mib` a file only.
    `read_only` is what the job may read besides Python and the system: data folders. Never one that holds hidden tests,
    solutions or other submissions.
    `size_mib` bounds the copied folder, /tmp, HOME and /dev/shm together. Zero or less is no limit, except for it.
    `home_files` are copied into HOME: (path below it, file outside).
    """

    folder: str
    level: Level = "full"
    read_only: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    home_files: tuple[tuple[str, str], ...] = ()
    folder_is: Literal["copied", "bound"] = "copied"
    size_mib: int = 512
    file_mib: int = 0
    processes: int = 64
    open_files: int = 1024
    data_mib: int = 0
    cpu_s: int = 0
    cuda: bool = False

    def __post_init__(self) -> None:
        for each in fields(self):  # JSON has lists where these are tuples
            value = getattr(self, each.name)
            if isinstance(value, list):
                frozen = tuple(tuple(item) if isinstance(item, list) else item for item in value)
                object.__setattr__(self, each.name, frozen)
        if self.level not in LEVELS or not self.folder.startswith("/"):
            raise OursError(
                f"A sandbox of level {self.level!r} in {self.folder!r}: expected full, partial or none, and /…"
            )

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it; `SandboxSpec(**plain)` is the way back."""
        return asdict(self)


def fork(spec: SandboxSpec | Mapping[str, Any]) -> int:
    """os.fork for a process that will `enter(spec)` at once; called in a zygote, which must have a single thread.

    With `full` the child is process 1 of a namespace of its own. Three things are different for it: its death ends
    whatever it has started; a signal sent from inside acts on it only if it has a handler (it cannot kill itself but by
    ending or by a fault); and `os.getppid()` is 0.

    Raises:
        SandboxError: this machine does not give such namespaces. There is no child.
        OursError: more than one thread.
    """
    spec = _as_spec(spec)
    if spec.level != "full":
        return os.fork()
    if linux.threads() > 1:
        raise OursError("A process with several threads cannot fork a sandbox. Fork it from one with a single thread.")
    with _named():
        if not namespaces.interpreter_is_protected():
            raise OSError(errno.EPERM, "the interpreter could be changed from inside; see protect_interpreter")
        return namespaces.fork(namespaces.identity())


def enter(spec: SandboxSpec | Mapping[str, Any], keep: Iterable[int] = ()) -> None:
    """Shut this process in for good. Called in the child of `fork(spec)`, before any student code runs.

    `keep` are the descriptors that stay open, 0, 1 and 2 among them only if named; none may be a folder. The session,
    working folder, environment, `tempfile` and limits are set too.

    Raises:
        SandboxError: not shut in, or not wholly. The caller must report it and end, and run nothing else.
        OursError: a descriptor that may not be kept.
    """
    spec = _as_spec(spec)
    keep = sorted(set(keep))
    surroundings.check_kept(keep)
    with _named():
        if os.getsid(0) != os.getpid():
            os.setsid()
        surroundings.close_all_but(keep)
        if spec.level == "full":
            _enter_root_of_its_own(spec, keep)
        else:
            _enter_here(spec)


def _as_spec(spec: SandboxSpec | Mapping[str, Any]) -> SandboxSpec:
    return spec if isinstance(spec, SandboxSpec) else SandboxSpec(**spec)


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SandboxError(error.strerror or str(error), error.errno or 0) from error


def protect_interpreter() -> None:
    """Start this Python anew so that no job can change it. Called first thing in a zygote; keeps what is inheritable.

    All forks share their parent's /proc/self/exe, which leads past any root and any read-only mount to the very file.
    Where that belongs to the user who grades (a Python in a home folder), student code could change its mode. So this
    process goes on, under the same id and with the same arguments, as a Python from a read-only mount. Does nothing
    where there is no need (root grades; the system's Python), where it is done, or where namespaces are not given.
    """
    if not namespaces.interpreter_is_protected() and linux.threads() == 1:
        namespaces.start_anew_from_a_read_only_mount()


def prepare(spec: SandboxSpec | Mapping[str, Any]) -> None:
    """Work out once what all jobs of a zygote need alike. Optional; called in the zygote, and the forks inherit it."""
    spec = _as_spec(spec)
    layout = _layout(spec)
    private_root.resolve_all((*layout.read_only, *private_root.machine_paths(cuda=spec.cuda)))
    seccomp.program(platform.machine(), namespaces=spec.level == "full", memory_files=spec.cuda)
    namespaces.identity()
    landlock.abi()


def _enter_root_of_its_own(spec: SandboxSpec, keep: list[int]) -> None:
    """The steps of `full`, in the only order that works: each gives up what the ones before it needed."""
    if (os.getpid(), os.getppid()) != (1, 0):
        raise OursError(
            "A full sandbox is entered only in the child of `sandbox.fork`: here it would shut in the machine."
        )
    who = namespaces.identity()
    if who.privileged:
        surroundings.own_pipes(keep, who.user, who.group)
    else:
        namespaces.name_users(who.user, who.group)
    namespaces.raise_loopback()
    socket.sethostname("torchdojo")
    private_root.enter(_layout(spec), who)
    namespaces.become(who)
    _check_python()
    namespaces.forbid_more_users()
    surroundings.take_environment(private_root.HOME, "/tmp", dict(spec.environment))
    counted = namespaces.in_own_user_namespace() and _counts_tasks_by_namespace()
    _limit(spec, processes=spec.processes if counted else 0)
    namespaces.drop_capabilities()
    if landlock.abi():
        landlock.restrict(_rules_inside(spec), internet=True)
    linux.prctl(linux.DIE_WITH_PARENT, signal.SIGKILL)  # the filter forbids to take it back
    seccomp.restrict(namespaces=True, memory_files=spec.cuda)


def _check_python() -> None:
    if not (os.access(sys.executable, os.X_OK) and os.access(os.__file__, os.R_OK)):
        remedy = f"`chmod -R go+rX {sys.base_prefix} {sys.prefix}`"
        raise OSError(errno.EACCES, f"Python's files can be read by their owner only; mend that by {remedy}")


def _counts_tasks_by_namespace() -> bool:
    major, minor = (int(part) for part in platform.release().split("-")[0].split(".")[:2])
    return (major, minor) >= (5, 14)


def _layout(spec: SandboxSpec) -> private_root.Layout:
    return private_root.Layout(
        folder=spec.folder,
        bound=spec.folder_is == "bound",
        read_only=(*private_root.system_paths(), *spec.read_only),
        home_files=spec.home_files,
        size_mib=spec.size_mib,
        cuda=spec.cuda,
    )


def _rules_inside(spec: SandboxSpec) -> list[tuple[str, int]]:
    own = (spec.folder, "/tmp", "/dev/shm", private_root.HOME)
    return [
        ("/", landlock.READ),
        ("/dev", landlock.USE),
        ("/proc", landlock.USE),
        *((path, landlock.OWN) for path in own),
    ]


def _enter_here(spec: SandboxSpec) -> None:
    """Partial and none: the same files, only less of them."""
    home, temporary = f"{spec.folder}/.home", f"{spec.folder}/.tmp"
    for path in (home, temporary):
        os.makedirs(path, mode=0o700, exist_ok=True)
    for below, outside in spec.home_files:
        os.makedirs(os.path.dirname(f"{home}/{below}"), exist_ok=True)
        shutil.copyfile(outside, f"{home}/{below}")
    os.chdir(spec.folder)
    surroundings.take_environment(home, temporary, dict(spec.environment))
    _limit(spec, processes=0)
    if spec.level == "none":
        return
    who = namespaces.identity()
    needed = (*private_root.system_paths(), *spec.read_only)
    reachable = all(map(_others_can_use, needed)) and _others_can_use(os.path.dirname(spec.folder), 0)
    if who.privileged and reachable:
        private_root.give(spec.folder, who)
        namespaces.take_unused_id(who)
    namespaces.drop_capabilities()
    landlock.restrict(_rules_here(spec), internet=False)
    linux.prctl(linux.DIE_WITH_PARENT, signal.SIGKILL)
    seccomp.restrict(namespaces=False, memory_files=spec.cuda)


def _others_can_use(path: str, mode: int = 0o4) -> bool:
    """Whether a user who does not own `path` gets there and may do `mode`: often not with a Python below /root."""
    at = private_root.resolve(path)[0]
    if os.path.isdir(at):
        mode |= 0o1
    while at != "/":
        with suppress(FileNotFoundError):
            if os.stat(at).st_mode & mode != mode:
                return False
        at, mode = os.path.dirname(at), 0o1
    return True


def _rules_here(spec: SandboxSpec) -> list[tuple[str, int]]:
    read = (
        *private_root.system_paths(),
        *spec.read_only,
        *private_root.machine_paths(cuda=spec.cuda),
        *_READ_WHEN_PARTIAL,
    )
    return [
        *((path, landlock.READ) for path in read),
        *((path, landlock.USE) for path in (*private_root.devices(cuda=spec.cuda), "/proc/self")),
        ("/dev/shm", landlock.USE_BY_NAME),  # locks between processes lie there, and nowhere else
        (spec.folder, landlock.OWN),
    ]


def _limit(spec: SandboxSpec, *, processes: int) -> None:
    surroundings.limit(
        file_mib=spec.file_mib,
        open_files=spec.open_files,
        processes=processes,
        data_mib=spec.data_mib,
        cpu_s=spec.cpu_s,
    )

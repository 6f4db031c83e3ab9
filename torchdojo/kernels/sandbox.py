"""The sandbox around student code: one call between a fork and the first line of it.

Owns the order of the steps; each step is a module: namespaces, private_root, surroundings, landlock, seccomp. Whether a
machine can do all of it is `sandbox_probe`'s question. docs/security.md says what stops what.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from torchdojo.errors import OursError
from torchdojo.kernels import landlock, linux, namespaces, private_root, seccomp, surroundings

Level = Literal["full", "partial", "none"]
LEVELS: tuple[Level, ...] = get_args(Level)
SETUP_TIMEOUT_S = 60.0
_READ_WHEN_PARTIAL = (
    ("/etc/passwd", "/etc/group", "/etc/hosts", "/etc/hostname", "/etc/nsswitch.conf")
    + ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/version")
    + ("/proc/filesystems", "/proc/sys/kernel", "/proc/sys/vm")
)


class SandboxError(OursError):
    """The sandbox could not be built. No student code has run. `step` is what failed, `code` its errno or 0."""

    def __init__(self, step: str, code: int = 0) -> None:
        super().__init__(f"The sandbox could not be built: {step}. Run `torchdojo doctor` to see what this machine lacks.")
        self.step = step
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.step, self.code)


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """What one job gets. Plain data: pickles, and crosses as JSON by `to_plain` and `SandboxSpec(**plain)`.

    `folder` is the job's own, under the same path inside as outside. It is `copied` into memory, and gone with the job,
    or `bound`: then what is written shows outside and the disk is bounded by `file_mib` a file only.
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
            raise OursError(f"A sandbox of level {self.level!r} in {self.folder!r}: expected full, partial or none, and /…")

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it; `SandboxSpec(**plain)` is the way back."""
        return asdict(self)


def enter(spec: SandboxSpec | Mapping[str, Any], keep: Iterable[int] = ()) -> None:
    """Shut this process in. Called in a process just forked, with one thread, before any student code runs.

    Returns in a process that is shut in. With `full` that is a *child* of the caller, in a session of its own, and the
    caller stays outside as its keeper: waits, passes SIGINT on, ends with everything inside, and as the job ended
    (exit status or signal). Kill the caller, and all inside is killed.
    With `partial` and `none` it is the caller itself, and ending what it leaves behind is the zygote's.

    `keep` are the descriptors that stay open, 0, 1 and 2 among them only if named; none may be a folder.

    Raises:
        SandboxError: in the caller; nothing has run inside.
        OursError: a descriptor that may not be kept, or more than one thread.
    """
    spec = spec if isinstance(spec, SandboxSpec) else SandboxSpec(**spec)
    keep = sorted(set(keep))
    surroundings.check_kept(keep)
    if spec.level == "full":
        _enter_full(spec, keep)
        return
    try:
        _enter_here(spec, keep)
    except OSError as error:
        raise SandboxError(str(error.strerror or error), error.errno or 0) from error


def _enter_full(spec: SandboxSpec, keep: list[int]) -> None:
    if linux.threads() > 1:
        raise OursError("A process with several threads cannot enter a sandbox. Fork it from one with a single thread.")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    inner_end, lifeline = os.pipe()
    init = job = 0
    try:
        who = namespaces.identity()
        namespaces.separate_users_and_processes(who)
        init = namespaces.start_init(inner_end)
        job = os.fork()
        if job == 0:
            here.close()
            _settle(spec, keep, who, there)
            return
        there.close()
        _attend(here, job, who)
        here.close()
    except BaseException as error:
        for pid in (init, job):
            if pid:
                os.kill(pid, signal.SIGKILL)
        for pid in (job, init):  # process 1 ends last
            if pid:
                os.waitpid(pid, 0)
        for fd in (inner_end, lifeline):
            os.close(fd)
        if isinstance(error, OSError):
            raise SandboxError(str(error.strerror or error), error.errno or 0) from error
        raise
    namespaces.keep(job, init, lifeline)


def _attend(channel: socket.socket, job: int, who: namespaces.Identity) -> None:
    """Answer what the job asks for while it settles: its user ids, which only a process outside can give it."""
    channel.settimeout(SETUP_TIMEOUT_S)
    while True:
        message = channel.recv(4096)
        if message == b"ready":
            channel.send(b"go")
            return
        if message == b"ids":
            proc = os.open(f"/proc/{job}", os.O_PATH | os.O_DIRECTORY)
            namespaces.write_maps(proc, who)
            os.close(proc)
            channel.send(b"done")
        else:
            code, _, step = message.decode("utf-8", "replace").partition(" ")
            raise SandboxError(step or "the process ended while it was being shut in", int(code or 0))


def _settle(spec: SandboxSpec, keep: list[int], who: namespaces.Identity, channel: socket.socket) -> None:
    """The steps inside, in the only order that works: each gives up what the ones before it needed."""
    try:
        os.setsid()
        surroundings.close_all_but([*keep, channel.fileno()])
        linux.unshare(linux.NEW_MOUNTS | linux.NEW_NETWORK | linux.NEW_IPC | linux.NEW_HOSTNAME)
        namespaces.raise_loopback()
        socket.sethostname("torchdojo")
        if who.privileged:
            os.setgroups([])
        private_root.enter(_layout(spec), who)
        own_users = _take_ids(who, channel)
        surroundings.take_environment(private_root.HOME, "/tmp", dict(spec.environment))
        _limit(spec, processes=spec.processes if own_users and _counts_tasks_by_namespace() else 0)
        namespaces.drop_capabilities()
        _restrict_files(_rules_inside(spec), internet=True, needed=False)
        seccomp.restrict(internet=True, memory_files=spec.cuda)
        linux.prctl(linux.DIE_WITH_PARENT, signal.SIGKILL)
        channel.send(b"ready")
        if channel.recv(16) != b"go":
            os._exit(1)
        channel.close()
    except BaseException as error:
        code = error.errno if isinstance(error, OSError) else 0
        with suppress(OSError):
            channel.send(f"{code or 0} {getattr(error, 'strerror', None) or error!r}".encode()[:4096])
        os._exit(1)


def _take_ids(who: namespaces.Identity, channel: socket.socket) -> bool:
    """Become the student, in a user namespace with no say over those that the sandbox is made of; whether there is one."""
    try:
        linux.unshare(linux.NEW_USERS)
    except OSError:
        if not who.privileged:
            raise
        namespaces.become(who.user, who.group)
        return False
    channel.send(b"ids")
    if channel.recv(16) != b"done":
        os._exit(1)
    namespaces.forbid_more_users()
    if who.privileged:
        os.setgroups([])
    namespaces.become(namespaces.STUDENT, namespaces.STUDENT)
    return True


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
    return [("/", landlock.READ), ("/dev", landlock.USE), ("/proc", landlock.USE), *((path, landlock.OWN) for path in own)]


def _enter_here(spec: SandboxSpec, keep: list[int]) -> None:
    """Partial and none: the same process, the same files, only less of them."""
    surroundings.close_all_but(keep)
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
    if who.privileged and _others_can_use((*private_root.system_paths(), *spec.read_only, spec.folder)):
        private_root.give(spec.folder, who)
        os.setgroups([])
        namespaces.become(who.user, who.group)
    namespaces.drop_capabilities()
    _restrict_files(_rules_here(spec), internet=False, needed=True)
    seccomp.restrict(internet=False, memory_files=spec.cuda)


def _others_can_use(paths: Iterable[str]) -> bool:
    """Whether a user who owns none of `paths` can read them: a Python below /root, often, nobody else can."""
    for path in paths:
        at = private_root.resolve(path)[0]
        needed = 0o5 if os.path.isdir(at) else 0o4
        while at != "/":
            with suppress(OSError):
                if os.stat(at).st_mode & needed != needed:
                    return False
            at, needed = os.path.dirname(at), 0o1
    return True


def _rules_here(spec: SandboxSpec) -> list[tuple[str, int]]:
    read = (*private_root.system_paths(), *spec.read_only, *private_root.machine_paths(cuda=spec.cuda), *_READ_WHEN_PARTIAL)
    return [
        *((path, landlock.READ) for path in read),
        *((path, landlock.USE) for path in (*private_root.devices(cuda=spec.cuda), "/proc/self")),
        ("/dev/shm", landlock.USE_BY_NAME),  # locks between processes lie there, and nowhere else
        (spec.folder, landlock.OWN),
    ]


def _restrict_files(rules: list[tuple[str, int]], *, internet: bool, needed: bool) -> None:
    if needed or landlock.abi():
        landlock.restrict(rules, internet=internet)


def _limit(spec: SandboxSpec, *, processes: int) -> None:
    surroundings.limit(
        file_mib=spec.file_mib,
        open_files=spec.open_files,
        processes=processes,
        data_mib=spec.data_mib,
        cpu_s=spec.cpu_s,
    )

"""Linux namespaces for one job: who it is, its own network, and its own process tree that ends as one."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass
from typing import NoReturn

from torchdojo.kernels import linux

STUDENT = 1000  # user and group id inside, whoever grades
UNUSED = 64977  # what that is outside when root grades: above what systems give out, below what containers map
_INITS = ("/bin/cat", "/usr/bin/cat")
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_LOCKED_NO_ROOT = 0b101111  # no capabilities for user id 0, ever; see capabilities(7), "securebits"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a job is to the world outside its sandbox. `privileged`: it is an id that only root can take on."""

    user: int
    group: int
    privileged: bool


def identity() -> Identity:
    """An id that nobody uses when root grades and has it to give, and else the grader's own."""
    can_administer = linux.has_capability(linux.CAP_SYS_ADMIN)
    if os.geteuid() == 0 and can_administer and all(_is_mapped(UNUSED, kind) for kind in ("uid", "gid")):
        return Identity(UNUSED, UNUSED, privileged=True)
    return Identity(os.geteuid(), os.getegid(), privileged=False)


def _is_mapped(number: int, kind: str) -> bool:
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        rows = [tuple(map(int, line.split())) for line in file]
    return any(first <= number < first + count for first, _, count in rows)


def separate_users_and_processes(who: Identity) -> None:
    """Gain the right to make a sandbox: by a user namespace unless root; and let the next child be process 1 of its own.

    Raises:
        OSError
    """
    if who.privileged:
        linux.unshare(linux.NEW_PIDS)
        return
    linux.unshare(linux.NEW_USERS | linux.NEW_PIDS)
    proc = os.open("/proc/self", os.O_PATH | os.O_DIRECTORY)
    try:
        _write("setgroups", "deny", proc)
        _write("uid_map", f"{who.user} {who.user} 1", proc)
        _write("gid_map", f"{who.group} {who.group} 1", proc)
    finally:
        os.close(proc)


def start_init(lifeline: int) -> int:
    """Start process 1 of the new process namespace and return its id here.

    It does nothing, adopts orphans, and ends when every other end of `lifeline`, a pipe, is closed, for whatever
    reason; Linux then kills all that is left in the namespace. It cannot be a fork of this process: that would cost a
    copy of a zygote's page tables.

    Raises:
        OSError
    """
    cat = next((path for path in _INITS if os.path.exists(path)), None)
    if cat is None:
        raise OSError(2, f"there is no {_INITS[0]} to be process 1")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # inherited: orphans need no reaping
    try:
        nowhere = os.O_RDWR
        actions = [
            (os.POSIX_SPAWN_DUP2, lifeline, 0),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, nowhere, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, nowhere, 0),
        ]
        return os.posix_spawn(cat, ["init"], {}, file_actions=actions, setpgroup=0)
    finally:
        signal.signal(signal.SIGCHLD, before)


def write_maps(proc: int, who: Identity) -> None:
    """Make STUDENT inside of `who` outside. `proc` is the /proc/PID folder of a process in a new user namespace.

    Raises:
        OSError
    """
    if not who.privileged:
        # where a parent's setgroups is denied this says so again; where it is not, no group can be dropped to get round
        # a file that denies it
        _write("setgroups", "deny", proc)
    _write("gid_map", f"{STUDENT} {who.group} 1", proc)
    _write("uid_map", f"{STUDENT} {who.user} 1", proc)


def _write(name: str, text: str, folder: int) -> None:
    fd = os.open(name, os.O_WRONLY, dir_fd=folder)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{name}: {error.strerror}") from None
    finally:
        os.close(fd)


def raise_loopback() -> None:
    """Bring up `lo`, so that a program may talk to itself over 127.0.0.1. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def become(user: int, group: int) -> None:
    """Take on ids, and stay open to /proc/self, which a change of ids closes. Raises OSError."""
    os.setresgid(group, group, group)
    os.setresuid(user, user, user)
    linux.prctl(linux.DUMPABLE, 1)


def forbid_more_users() -> None:
    """No user namespace can be made from here on, even by a call that the filter has missed."""
    with suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w", encoding="ascii") as limit:
        limit.write("0")


def drop_capabilities() -> None:
    """Give up every capability for good, here and in all that is started. Raises OSError."""
    with suppress(OSError):  # not allowed to a process that has none anyway
        linux.prctl(linux.SECURE_BITS, _LOCKED_NO_ROOT)
    with suppress(OSError):
        for number in range(64):
            linux.prctl(linux.DROP_FROM_BOUNDING_SET, number)
    with suppress(OSError):
        linux.prctl(linux.AMBIENT, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
    linux.set_no_capabilities()
    linux.prctl(linux.NO_NEW_PRIVILEGES, 1)


def keep(job: int, init: int, lifeline: int) -> NoReturn:
    """Wait for `job`, end all else in its namespace, and end as it ended. Runs in the process that the zygote knows.

    SIGINT is passed on, so that whoever interrupts this process interrupts the job. A SIGKILL, or a crash, closes the
    lifeline.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, lambda *_: os.kill(job, signal.SIGINT))
    os.closerange(0, lifeline)
    os.closerange(lifeline + 1, 1 << 20)
    _, status = os.waitpid(job, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.kill(init, signal.SIGKILL)
    os.waitpid(init, 0)  # returns when the last process of the namespace is gone
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), number)
        os.abort()
    os._exit(os.WEXITSTATUS(status))

"""Linux namespaces for one job: who it is, its own network, and its own process tree that ends as one."""

from __future__ import annotations

import fcntl
import functools
import os
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass

from torchdojo.kernels import linux

STUDENT = 1000  # user and group id inside, whoever grades
UNUSED = 64977  # what that is outside when root grades: above what systems give out, below what containers map
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1
_LOCKED_NO_ROOT = 0b101111  # no capabilities for user id 0, ever; see capabilities(7), "securebits"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a job is to the world outside its sandbox. `privileged`: it is an id that only root can take on."""

    user: int
    group: int
    privileged: bool


@functools.cache
def identity() -> Identity:
    """An id that nobody uses when root grades and has it to give, and else the grader's own.

    Asked for before a fork and remembered in the child, which in a new user namespace cannot find out any more.
    """
    can_administer = linux.has_capability(linux.CAP_SYS_ADMIN)
    if os.geteuid() == 0 and can_administer and all(_is_mapped(UNUSED, kind) for kind in ("uid", "gid")):
        return Identity(UNUSED, UNUSED, privileged=True)
    return Identity(os.geteuid(), os.getegid(), privileged=False)


def _is_mapped(number: int, kind: str) -> bool:
    with open(f"/proc/self/{kind}_map", encoding="ascii") as file:
        rows = [tuple(map(int, line.split())) for line in file]
    return any(first <= number < first + count for first, _, count in rows)


def fork(who: Identity) -> int:
    """os.fork into namespaces of the child's own: mounts, processes, network, IPC, host name; and users unless root.

    The child is process 1 of its own: when it ends, for whatever reason, Linux kills all that it started.

    Raises:
        OSError
    """
    flags = linux.NEW_MOUNTS | linux.NEW_PIDS | linux.NEW_NETWORK | linux.NEW_IPC | linux.NEW_HOSTNAME
    return linux.fork_into(flags if who.privileged else flags | linux.NEW_USERS)


def name_users(user: int, group: int, user_inside: int = STUDENT, group_inside: int = STUDENT) -> None:
    """In a new user namespace: say what the ids that this process has outside are called. Raises OSError."""
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/gid_map", f"{group_inside} {group} 1")
    _write("/proc/self/uid_map", f"{user_inside} {user} 1")


def interpreter_is_protected() -> bool:
    """Whether the file that this process runs is safe from whoever jobs run as: not theirs, or on a read-only mount."""
    who = identity()
    owner = os.stat("/proc/self/exe").st_uid
    return who.privileged or owner != who.user or bool(os.statvfs("/proc/self/exe").f_flag & os.ST_RDONLY)


def start_anew_from_a_read_only_mount() -> None:
    """Execute this Python again, with its arguments, from a mount of its own that cannot be written.

    Returns only where namespaces are not given, and then nothing has changed.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        linux.unshare(linux.NEW_USERS | linux.NEW_MOUNTS)
    except OSError:
        return
    with suppress(OSError):  # AppArmor may give the namespace and no rights in it; forking a sandbox will say so
        name_users(user, group, user, group)
        linux.keep_mounts_private()
        file = os.readlink("/proc/self/exe")
        linux.bind(file, file)
        linux.restrict_mount(file, linux.READ_ONLY | linux.NO_SUID | linux.NO_DEV)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)


def raise_loopback() -> None:
    """Bring up `lo`, so that a program may talk to itself over 127.0.0.1. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


def become(who: Identity) -> None:
    """Give up root, all groups, and every right over the namespaces that the sandbox is made of. Raises OSError."""
    if who.privileged:
        os.setgroups([])
        linux.prctl(linux.KEEP_CAPABILITIES, 1)  # Ubuntu lets no plain user make the namespace below
        os.setresgid(who.group, who.group, who.group)
        os.setresuid(who.user, who.user, who.user)
        linux.set_capabilities(1 << linux.CAP_SYS_ADMIN)
        linux.prctl(linux.DUMPABLE, 1)  # or /proc/self would be root's
    try:
        linux.unshare(linux.NEW_USERS)
    except OSError:
        if who.privileged:  # no user namespaces on this machine: an unused id without rights is as good
            return
        raise
    if who.privileged:
        name_users(who.user, who.group)
    else:
        name_users(STUDENT, STUDENT)
    linux.prctl(linux.DUMPABLE, 1)


def take_unused_id(who: Identity) -> None:
    """Give up root and all groups, without namespaces. Raises OSError."""
    os.setgroups([])
    os.setresgid(who.group, who.group, who.group)
    os.setresuid(who.user, who.user, who.user)
    linux.prctl(linux.DUMPABLE, 1)


def in_own_user_namespace() -> bool:
    """Whether Linux counts this process's tasks apart from all others of its user."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return file.read().split()[:1] == [str(STUDENT)]


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
    linux.set_capabilities(0)
    linux.prctl(linux.NO_NEW_PRIVILEGES, 1)

"""The system calls that student code may not make: a seccomp filter, written out in BPF. No libseccomp needed."""

from __future__ import annotations

import ctypes
import errno
import functools
import platform
import struct
from collections.abc import Iterator

from torchdojo.kernels import linux

# name: (number on x86-64, number on aarch64), None where the machine has no such call.
# Source: Linux arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; tests compare them with
# the headers of the machine they run on.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # looking into, or reaching into, other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "move_pages": (279, 239),
    "migrate_pages": (256, 238),
    # mounts and other views of the file system
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "acct": (163, 89),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    # other namespaces
    "unshare": (272, 97),
    "setns": (308, 268),
    # parts of Linux in which most holes were found, and which no exercise needs
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "_sysctl": (156, None),
    "nfsservctl": (180, 42),
    "lookup_dcookie": (212, 18),
    "personality": (135, 92),
    # memory that no limit counts: secret files, and System V's that outlive their makers
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "semget": (64, 190),
    "semop": (65, 193),
    "semctl": (66, 191),
    "semtimedop": (220, 192),
    # the machine itself
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "create_module": (174, None),
    "query_module": (178, None),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
}
# Answered as an old kernel would, so that glibc and libraries fall back to what they did before.
UNKNOWN: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),  # its flags lie in memory, where a filter cannot look; clone's can be read
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_MEMFD_CREATE = (319, 279)
# Without mounts of one's own: Landlock lets the mode, owner and times of any file of this user's be changed.
_MODES: dict[str, tuple[int | None, int | None]] = {  # answered as if done, so that shutil.copy goes on
    "chmod": (90, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "utime": (132, None),
    "utimes": (235, None),
    "futimesat": (261, None),
    "utimensat": (280, 88),
}
_OWNERS: dict[str, tuple[int | None, int | None]] = {
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "fchownat": (260, 54),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
}
# Calls of which some arguments are denied: clone, socket, socketpair, ioctl, prctl.
BY_ARGUMENT: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "ioctl": (16, 29),
    "prctl": (157, 167),
}
LAST_KNOWN = 462  # mseal, Linux 6.10. What came later is denied until someone has looked at it; x32 calls are larger.

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH_*
_CLONE_DENIED = 0x7E028080  # CLONE_NEW{TIME,NS,CGROUP,UTS,IPC,USER,PID,NET}, and children for a parent outside
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # put keystrokes into a terminal
_UNIX, _INET, _INET6, _NETLINK = 1, 2, 10, 16

_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_AND = 0x54
_NUMBER_AT, _ARCH_AT = 0, 4
_ALLOW = 0x7FFF0000
_KILL = 0x80000000


def _arg_at(index: int) -> int:
    return 16 + 8 * index  # the low half; both machines are little-endian


def _fail(code: int) -> int:
    return 0x00050000 | code


def _instruction(code: int, value: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, value)


def _when_number(number: int, then: bytes) -> bytes:
    """`then` for one system call; it must end in a return on every path."""
    return _instruction(_EQUAL, number, 0, len(then) // 8) + then


@functools.cache
def program(machine: str, *, namespaces: bool, memory_files: bool) -> bytes:
    """The filter for "x86_64" or "aarch64".

    `namespaces`: the process has mounts and a network of its own. Without, no IP socket can be made, not even to this
    machine, and no file's mode, owner or times be changed. `memory_files` allows memfd_create, whose files no limit
    counts; CUDA's driver may want it.

    Raises:
        OSError: no table for this machine.
    """
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"seccomp: there is no table of system calls for {machine} machines")
    column, architecture = _ARCHITECTURES[machine]
    denied, unknown = _instruction(_RETURN, _fail(errno.EPERM)), _instruction(_RETURN, _fail(errno.ENOSYS))

    def numbers(table: dict[str, tuple[int | None, int | None]]) -> Iterator[int]:
        return (number for row in table.values() if (number := row[column]) is not None)

    def number_of(name: str) -> int:
        number = BY_ARGUMENT[name][column]
        assert number is not None
        return number

    parts = [
        _instruction(_LOAD, _ARCH_AT),
        _instruction(_EQUAL, architecture, 1, 0),
        _instruction(_RETURN, _KILL),  # 32-bit calls from a 64-bit process: no table fits
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_ABOVE, LAST_KNOWN, 0, 1),
        unknown,
    ]
    parts += [_when_number(number, denied) for number in numbers(NUMBERS)]
    parts += [_when_number(number, unknown) for number in numbers(UNKNOWN)]
    ignored = _instruction(_RETURN, _fail(0))  # answered as if done
    if not namespaces:
        parts += [_when_number(number, ignored) for number in numbers(_MODES)]
        parts += [_when_number(number, denied) for number in numbers(_OWNERS)]
    if not memory_files:
        parts.append(_when_number(_MEMFD_CREATE[column], unknown))
    allowed = _instruction(_RETURN, _ALLOW)
    flags = _instruction(_LOAD, _arg_at(0)) + _instruction(_ANY_BIT, _CLONE_DENIED, 0, 1) + denied + allowed
    parts.append(_when_number(number_of("clone"), flags))
    command = (
        _instruction(_LOAD, _arg_at(1))
        + _instruction(_EQUAL, _TIOCSTI, 1, 0)
        + _instruction(_EQUAL, _TIOCLINUX, 0, 1)
        + denied
        + allowed
    )
    parts.append(_when_number(number_of("ioctl"), command))
    # torch.multiprocessing.spawn asks for this and insists on success
    option = _instruction(_LOAD, _arg_at(0)) + _instruction(_EQUAL, linux.DIE_WITH_PARENT, 0, 1) + ignored + allowed
    parts.append(_when_number(number_of("prctl"), option))
    for name in ("socket", "socketpair"):
        parts.append(_when_number(number_of(name), _socket_rule(namespaces, denied, allowed)))
    parts.append(allowed)
    return b"".join(parts)


def _socket_rule(internet: bool, denied: bytes, allowed: bytes) -> bytes:
    """Unix sockets, netlink to read routes (libzmq aborts without), IP. The rest is of no use, or in no namespace."""
    families = [_UNIX, _INET, _INET6] if internet else [_UNIX]
    tail = (
        _instruction(_EQUAL, _NETLINK, 1, 0)
        + denied
        + _instruction(_LOAD, _arg_at(2))
        + _instruction(_EQUAL, 0, 0, 1)  # NETLINK_ROUTE
        + allowed
        + denied
    )
    head = _instruction(_LOAD, _arg_at(0))
    for left, family in zip(range(len(families), 0, -1), families, strict=True):
        head += _instruction(_EQUAL, family, left - 1 + len(tail) // 8 - 2, 0)
    return head + tail


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def restrict(*, namespaces: bool, memory_files: bool) -> None:
    """Filter the calls of this thread and of all that it starts from now on. Needs no_new_privs. Raises OSError."""
    code = program(platform.machine(), namespaces=namespaces, memory_files=memory_files)
    filter_ = _Program(len(code) // 8, code)
    linux.prctl(22, 2, ctypes.addressof(filter_))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER

"""Linux calls that Python 3.11 lacks, by ctypes. Each raises OSError; knows nothing of sandboxes."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys

_libc = ctypes.CDLL(None, use_errno=True)
_holding_the_gil = ctypes.PyDLL(None, use_errno=True)

# clone(2) flags
NEW_MOUNTS = 0x00020000
NEW_HOSTNAME = 0x04000000
NEW_IPC = 0x08000000
NEW_USERS = 0x10000000
NEW_PIDS = 0x20000000
NEW_NETWORK = 0x40000000

# mount(2) and mount_setattr(2)
READ_ONLY, NO_SUID, NO_DEV, NO_EXEC = 1, 2, 4, 8  # the same numbers in both calls
_REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 32, 4096, 16384, 1 << 18
_DETACH = 2
_AT_RECURSIVE = 0x8000

# prctl(2)
DIE_WITH_PARENT = 1
DUMPABLE = 4
KEEP_CAPABILITIES = 8
DROP_FROM_BOUNDING_SET = 24
SECURE_BITS = 28
NO_NEW_PRIVILEGES = 38
AMBIENT = 47

CAP_SYS_ADMIN = 21

# The same number on x86-64 and aarch64, as for every call added since Linux 5.0.
_CLONE3, _MOUNT_SETATTR = 435, 442
_SYS_CAPSET = {"x86_64": 126, "aarch64": 91}
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}


def syscall(what: str, number: int, *args: object) -> int:
    """System call `number`; `what` names it in the error. Raises OSError."""
    return _checked(_libc.syscall(ctypes.c_long(number), *args), what)


def _checked(result: int, what: str) -> int:
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def _by_machine(numbers: dict[str, int], what: str) -> int:
    try:
        return numbers[platform.machine()]
    except KeyError:
        raise OSError(38, f"{what}: not known for {platform.machine()} machines") from None


def unshare(flags: int) -> None:
    """Leave the namespaces of `flags` for new ones. Raises OSError."""
    _checked(_libc.unshare(flags), "unshare")


def fork_into(namespaces: int) -> int:
    """os.fork, the child being the first process of new namespaces. A process with one thread only.

    Python's handlers of forks run (`os.register_at_fork`); those of C libraries (pthread_atfork) do not: the ones of
    torch, OpenBLAS and SciPy only mend thread pools, of which a single thread has none.

    Raises:
        OSError: the kernel does not give such namespaces to this user.
    """
    before, in_parent, in_child = (
        getattr(ctypes.pythonapi, f"PyOS_{name}") for name in ("BeforeFork", "AfterFork_Parent", "AfterFork_Child")
    )
    for function in (before, in_parent, in_child):
        function.restype = None
    clone = _holding_the_gil.syscall
    thread_id = _address_of_thread_id()
    flags = namespaces | (_SET_THREAD_ID | _CLEAR_THREAD_ID if thread_id else 0)
    arguments = (ctypes.c_uint64 * 8)(flags, 0, thread_id, 0, signal.SIGCHLD, 0, 0, 0)  # struct clone_args
    number, pointer, size = ctypes.c_long(_CLONE3), ctypes.byref(arguments), ctypes.c_size_t(64)
    sys.audit("os.fork")
    before()
    pid: int = clone(number, pointer, size)
    if pid == 0:
        in_child()
        return 0
    in_parent()
    return _checked(pid, "clone3")


_SET_THREAD_ID, _CLEAR_THREAD_ID = 0x01000000, 0x00200000
_GET_TID_ADDRESS = 40  # prctl


def _address_of_thread_id() -> int:
    """Where glibc keeps the id of this thread, which a fork has to update; 0 where the kernel does not tell."""
    address = ctypes.c_uint64(0)
    arguments = ctypes.byref(address), *(ctypes.c_ulong(0) for _ in range(3))
    return address.value if _libc.prctl(_GET_TID_ADDRESS, *arguments) == 0 else 0


def prctl(option: int, value: int = 0, third: int = 0) -> None:
    """prctl(2). Raises OSError."""
    arguments = (ctypes.c_ulong(number) for number in (value, third, 0, 0))
    _checked(_libc.prctl(option, *arguments), f"prctl({option})")


def mount(kind: str, target: str, flags: int = 0, options: str = "") -> None:
    """A new file system of `kind` at `target`. Raises OSError."""
    arguments = kind.encode(), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), options.encode()
    _checked(_libc.mount(*arguments), f"mount {kind} at {target}")


def bind(source: str, target: str) -> None:
    """What lies at `source`, with what is mounted below it, at `target` too. Raises OSError."""
    flags = ctypes.c_ulong(_BIND | _RECURSIVE)
    _checked(_libc.mount(os.fsencode(source), os.fsencode(target), None, flags, None), f"bind {source} at {target}")


def keep_mounts_private() -> None:
    """From here on nothing that is mounted in this mount namespace shows in another. Raises OSError."""
    flags = ctypes.c_ulong(_RECURSIVE | _PRIVATE)
    _checked(_libc.mount(None, b"/", None, flags, None), "mount --make-rprivate /")


def restrict_mount(target: str, attributes: int, *, recursive: bool = True) -> None:
    """Add `attributes` (READ_ONLY and its like) to the mount at `target` and to those below. Raises OSError.

    Needs Linux 5.12. The older remount would have to repeat the flags that a user namespace has locked.
    """
    attr = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)  # set, clear, propagation, userns_fd
    flags = ctypes.c_uint(_AT_RECURSIVE if recursive else 0)
    here = ctypes.c_int(-100)  # AT_FDCWD
    path, size = os.fsencode(target), ctypes.c_size_t(ctypes.sizeof(attr))
    syscall(f"mount_setattr {target}", _MOUNT_SETATTR, here, path, flags, ctypes.byref(attr), size)


def unmount(target: str) -> None:
    """Take the mount at `target`, and all below it, out of sight. Raises OSError."""
    _checked(_libc.umount2(os.fsencode(target), _DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    """Make the mount at `new` the root and put the old root at `old`, below it. Raises OSError."""
    number = _by_machine(_SYS_PIVOT_ROOT, "pivot_root")
    syscall(f"pivot_root {new}", number, os.fsencode(new), os.fsencode(old))


def set_capabilities(kept: int) -> None:
    """Make the effective and permitted sets `kept` (a bit each), the inheritable one empty. Raises OSError."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    low, high = kept & 0xFFFFFFFF, kept >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)
    syscall("capset", _by_machine(_SYS_CAPSET, "capset"), ctypes.byref(header), ctypes.byref(data))


def has_capability(number: int) -> bool:
    """Whether this process has the capability now."""
    return bool(int(status_field("CapEff"), 16) >> number & 1)


def status_field(name: str) -> str:
    """The field of /proc/self/status, or '0' where there is none."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        for line in status:
            key, _, value = line.partition(":")
            if key == name:
                return value.strip()
    return "0"


def threads() -> int:
    """How many threads this process has, Python's or not."""
    return len(os.listdir("/proc/self/task"))


def wipe_memory(start: int, end: int) -> None:
    """Zero this process's own memory between two addresses, which must be its own and writable."""
    ctypes.memset(start, 0, end - start)


def gather_memory() -> int:
    """Move this process's own memory into huge pages, so that a fork has 1/512 of the page table to copy; return MiB.

    For a process that forks often, once it has imported everything: takes seconds. 0 where the kernel (before 6.1, or
    built without huge pages) cannot.
    """
    huge, collapse = 2 << 20, 25  # MADV_COLLAPSE
    gathered = 0
    with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
        rows = [line.split() for line in file]
    for row in rows:
        anonymous = len(row) < 6 or row[5] == "[heap]"
        if not anonymous or not row[1].startswith("rw-p"):
            continue
        start, end = (int(text, 16) for text in row[0].split("-"))
        start, end = -(-start // huge) * huge, end // huge * huge
        if end > start and _libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), collapse) == 0:
            gathered += (end - start) >> 20
    return gathered

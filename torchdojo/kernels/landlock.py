"""Landlock: which files a process may use, whatever it can see. Second line of full, first of partial."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable

from torchdojo.kernels import linux

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV, _RESOLVE_UNIX = 1 << 13, 1 << 14, 1 << 15, 1 << 16
_ALL_OF_ABI_1 = (1 << 13) - 1

READ = _EXECUTE | _READ_FILE | _READ_DIR
USE = READ | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV  # devices: open and write, make nothing
OWN = (1 << 17) - 1 & ~_IOCTL_DEV  # everything, in a folder of one's own
USE_BY_NAME = OWN & ~_READ_DIR  # make, read and write, but never list: a folder that others use too
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def abi() -> int:
    """The version of Landlock in this kernel; 0 for none.

    1: files (Linux 5.13), 2: links and renames across folders (5.19), 3: truncation (6.2), 4: TCP (6.7),
    5: ioctl on devices (6.10), 6: signals and abstract sockets (6.12), 9: unix sockets by path (7.1).
    Source: https://docs.kernel.org/userspace-api/landlock.html
    """
    try:
        return linux.syscall("landlock", _CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return 0


def restrict(rules: Iterable[tuple[str, int]], *, internet: bool) -> None:
    """Let this thread, and all it starts, use only the paths of `rules`, each with READ, USE, OWN or USE_BY_NAME.

    A path that is not there is passed over. From ABI 6 on, no process outside can be signalled and no abstract socket
    outside be reached; without `internet`, from ABI 4 on, no TCP port can be used. Needs no_new_privs.

    Raises:
        OSError: no Landlock in this kernel, or a rule it does not take.
    """
    version = abi()
    if version == 0:
        raise OSError(errno.ENOSYS, "landlock: not in this kernel, or switched off (lsm= on its command line)")
    files = _ALL_OF_ABI_1
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV), (9, _RESOLVE_UNIX)):
        if version >= since:
            files |= right
    network = 0b11 if version >= 4 and not internet else 0
    scopes = 0b11 if version >= 6 else 0
    attr = struct.pack("=QQQ", files, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = linux.syscall("landlock", _CREATE_RULESET, attr, ctypes.c_size_t(len(attr)), ctypes.c_uint(0))
    try:
        for path, rights in rules:
            _allow(ruleset, path, rights & files)
        linux.syscall("landlock_restrict_self", _RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            rights &= _OF_FILES
        rule = struct.pack("=Qi", rights, fd)
        linux.syscall(
            f"landlock_add_rule {path}", _ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, 0
        )
    finally:
        os.close(fd)

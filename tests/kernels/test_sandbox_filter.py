"""The filter of system calls, interpreted here as Linux would, for both machines; and Landlock at every age."""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from torchdojo.kernels import landlock, linux, seccomp

MACHINES = ("x86_64", "aarch64")
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
ALLOW, KILL = 0x7FFF0000, 0x80000000
DENIED, UNKNOWN, AS_IF_DONE = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS, 0x00050000
HEADERS = {
    "x86_64": "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
    "aarch64": "/usr/include/asm-generic/unistd.h",
}


def answer(program: bytes, architecture: int, number: int, *args: int) -> int:
    """What the filter answers to a call: classic BPF over struct seccomp_data (linux/seccomp.h)."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(list(args) + [0] * 6)[:6])
    accumulator = at = 0
    while True:
        code, yes, no, value = struct.unpack_from("=HBBI", program, at * 8)
        at += 1
        if code == 0x20:
            assert value % 4 == 0
            assert value <= 60
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x06:
            return value
        else:
            holds = {0x15: accumulator == value, 0x25: accumulator > value, 0x45: bool(accumulator & value)}[code]
            at += yes if holds else no


def ask(machine: str, number: int, *args: int, namespaces: bool = True, memory_files: bool = False) -> int:
    """The answer of the filter that we install there."""
    program = seccomp.program(machine, namespaces=namespaces, memory_files=memory_files)
    return answer(program, ARCHITECTURES[machine], number, *args)


def number_of(machine: str, name: str) -> int:
    """Of a call in our tables."""
    table = seccomp.NUMBERS | seccomp.UNKNOWN | seccomp.BY_ARGUMENT
    number = table[name][MACHINES.index(machine)]
    assert number is not None
    return number


@pytest.mark.parametrize("machine", MACHINES)
def test_every_call_of_the_tables_is_answered_as_they_say(machine: str) -> None:
    """Denied calls fail with EPERM, those that glibc falls back from with ENOSYS."""
    for table, expected in ((seccomp.NUMBERS, DENIED), (seccomp.UNKNOWN, UNKNOWN)):
        for name, numbers in table.items():
            number = numbers[MACHINES.index(machine)]
            if number is not None:
                assert ask(machine, number) == expected, name


@pytest.mark.parametrize("machine", MACHINES)
def test_every_other_call_that_is_known_is_allowed(machine: str) -> None:
    """And none above: not the calls of tomorrow, and not x32's, which are these with a bit set."""
    column = MACHINES.index(machine)
    special = {numbers[column] for numbers in (seccomp.NUMBERS | seccomp.UNKNOWN | seccomp.BY_ARGUMENT).values()} | {
        number_of_memfd(machine)
    }
    for number in range(seccomp.LAST_KNOWN + 1):
        if number not in special:
            assert ask(machine, number) == ALLOW, number
    for number in (seccomp.LAST_KNOWN + 1, 1000, 0x40000000, 0x40000000 + 101):
        assert ask(machine, number) == UNKNOWN


def number_of_memfd(machine: str) -> int:
    """memfd_create is in no table, since CUDA gets it."""
    return {"x86_64": 319, "aarch64": 279}[machine]


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_is_killed(machine: str) -> None:
    """32-bit calls have other numbers; no table of ours fits."""
    program = seccomp.program(machine, namespaces=True, memory_files=False)
    for architecture in (0x40000003, 0x40000028, 0):
        assert answer(program, architecture, 1) == KILL


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_may_be_made_and_namespaces_not(machine: str) -> None:
    """clone by its flags: what fork and threads use passes, each namespace is denied."""
    clone = number_of(machine, "clone")
    assert ask(machine, clone, signal.SIGCHLD | 0x01200000) == ALLOW  # fork
    assert ask(machine, clone, 0x3D0F00) == ALLOW  # a thread, as glibc makes it
    assert ask(machine, clone, 0x4111) == ALLOW  # posix_spawn
    for flag in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask(machine, clone, flag | signal.SIGCHLD) == DENIED


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("call", ["socket", "socketpair"])
def test_sockets_by_family(machine: str, call: str) -> None:
    """Unix and the netlink of routes always; IP only where there is a network namespace; nothing else."""
    number = number_of(machine, call)
    for family in range(50):
        expected = ALLOW if family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK) else DENIED
        assert ask(machine, number, family, 1, 0) == expected, family
    for family in (socket.AF_INET, socket.AF_INET6):
        assert ask(machine, number, family, 1, 0, namespaces=False) == DENIED
    assert ask(machine, number, socket.AF_UNIX, 1, 0, namespaces=False) == ALLOW
    for protocol in range(1, 25):
        assert ask(machine, number, socket.AF_NETLINK, 3, protocol) == DENIED


@pytest.mark.parametrize("machine", MACHINES)
def test_calls_of_which_one_use_is_denied(machine: str) -> None:
    """Keystrokes into a terminal; and taking back that the job dies with its zygote, which is answered as if done."""
    ioctl, prctl = number_of(machine, "ioctl"), number_of(machine, "prctl")
    assert ask(machine, ioctl, 0, 0x5401) == ALLOW
    assert ask(machine, ioctl, 0, 0x5412) == DENIED
    assert ask(machine, ioctl, 0, 0x541C) == DENIED
    assert ask(machine, ioctl, 0, 0x5412 | 1 << 32) == DENIED  # Linux looks at the low half only, and so do we
    assert ask(machine, prctl, 15) == ALLOW
    assert ask(machine, prctl, linux.DIE_WITH_PARENT, 0) == AS_IF_DONE


@pytest.mark.parametrize("machine", MACHINES)
def test_memory_files_are_for_cuda(machine: str) -> None:
    """memfd_create looks missing unless asked for."""
    assert ask(machine, number_of_memfd(machine)) == UNKNOWN
    assert ask(machine, number_of_memfd(machine), memory_files=True) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_modes_owners_and_times_stay_where_mounts_are_shared(machine: str) -> None:
    """Changing them is answered as if done, or denied, in partial; in full the mounts see to it."""
    column = MACHINES.index(machine)
    for table, expected in ((seccomp._MODES, AS_IF_DONE), (seccomp._OWNERS, DENIED)):
        for name, numbers in table.items():
            number = numbers[column]
            if number is not None:
                assert ask(machine, number) == ALLOW, name
                assert ask(machine, number, namespaces=False) == expected, name


def test_no_table_no_sandbox() -> None:
    """Another machine is an error that names it, not an empty filter."""
    with pytest.raises(OSError, match="riscv64"):
        seccomp.program("riscv64", namespaces=True, memory_files=False)


@pytest.mark.parametrize("machine", MACHINES)
def test_the_tables_are_linuxs(machine: str) -> None:
    """Numbers compared with the kernel headers of this machine."""
    header = Path(HEADERS[machine])
    if not header.exists():
        pytest.skip(f"{header} is not installed (linux-libc-dev)")
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", header.read_text()))
    tables = seccomp.NUMBERS | seccomp.UNKNOWN | seccomp.BY_ARGUMENT | seccomp._MODES | seccomp._OWNERS
    del tables["fchmodat2"]  # newer than many headers
    for name, numbers in tables.items():
        ours = numbers[MACHINES.index(machine)]
        assert str(ours) == found.get(name, "None"), name
    assert found["memfd_create"] == str(number_of_memfd(machine))


@pytest.mark.parametrize("version", range(1, 10))
def test_landlock_of_every_age_keeps_files_shut(version: int) -> None:
    """On an older kernel the rules that it knows are set, and reading outside is denied all the same."""
    if version > landlock.abi():
        pytest.skip(f"this kernel's Landlock is version {landlock.abi()}")
    script = f"""
import os, tempfile
from torchdojo.kernels import landlock, linux
landlock.abi = lambda: {version}
folder = tempfile.mkdtemp()
linux.prctl(linux.NO_NEW_PRIVILEGES, 1)
landlock.restrict([("/usr", landlock.READ), (folder, landlock.OWN), ("/not/there", landlock.READ)], internet=False)
open(folder + "/x", "w").close()
os.remove(folder + "/x")
for path, flags in (("/etc/hosts", os.O_RDONLY), ("/usr/new", os.O_CREAT | os.O_WRONLY)):
    try:
        os.open(path, flags)
    except PermissionError:
        print("denied")
print(folder)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    lines = done.stdout.split()
    assert lines[:2] == ["denied", "denied"], done.stderr
    os.rmdir(lines[2])


def test_without_landlock_partial_is_refused(tmp_path: Path) -> None:
    """Files are what partial keeps shut; where it cannot, it says so."""
    script = f"""
from torchdojo.kernels import landlock
from torchdojo.kernels.sandbox import *
landlock.abi = lambda: 0
try:
    enter(SandboxSpec("{tmp_path}", "partial"), keep=[1, 2])
except SandboxError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "landlock" in done.stdout, done.stderr

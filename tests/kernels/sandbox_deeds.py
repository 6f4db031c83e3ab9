"""What student code must not be able to do. Each deed raises when it is prevented and returns when it succeeds.

Named by what is done. `world` is `sandbox_server.World.plain()`. Bounded, all of them: they are also done free.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from typing import Any

from torchdojo.kernels import linux

World = dict[str, Any]
_libc = ctypes.CDLL(None, use_errno=True)


class Prevented(Exception):
    """Nothing raised, and nothing was gained either."""


def _call(name: str, *args: Any) -> int:
    result: int = getattr(_libc, name)(*args)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


# ------------------------------------------------------------------------------------------------ files


def reads_the_gradebook(world: World) -> str:
    with open(world["gradebook"]) as file:
        return file.read()


def reads_the_gradebook_by_a_link(world: World) -> str:
    os.symlink(world["gradebook"], "innocent.txt")
    with open("innocent.txt") as file:
        return file.read()


def reads_the_gradebook_by_dots(world: World) -> str:
    with open("../" * 20 + world["gradebook"]) as file:
        return file.read()


def reads_the_gradebook_through_the_parents_root(world: World) -> str:
    with open(f"/proc/{world['parent']}/root{world['gradebook']}") as file:
        return file.read()


def reads_the_gradebook_through_the_parents_folder(world: World) -> list[str]:
    return os.listdir(f"/proc/{world['parent']}/cwd/")


def reads_the_gradebook_through_process_one(world: World) -> str:
    here = os.stat("/")
    for pid in ["1", str(world["parent"]), *filter(str.isdecimal, os.listdir("/proc"))]:
        with suppress(OSError):
            root = os.stat(f"/proc/{pid}/root")
            if (root.st_dev, root.st_ino) != (here.st_dev, here.st_ino) or os.path.exists(world["gradebook"]):
                return pid
    raise Prevented


def stats_the_gradebook(world: World) -> int:
    return os.stat(world["gradebook"]).st_size


def lists_the_course(world: World) -> list[str]:
    return os.listdir(world["course"])


def finds_folders_that_are_none_of_its_business(world: World) -> list[str]:
    found = [path for path in ("/boot", "/srv", "/media", "/var/log", "/etc/passwd-", "/run") if os.path.exists(path)]
    if not found:
        raise Prevented
    return found


def changes_the_gradebook(world: World) -> None:
    with open(world["gradebook"], "r+") as file:
        file.write("everyone: 11 points")


def empties_the_gradebook(world: World) -> None:
    os.truncate(world["gradebook"], 0)


def removes_the_gradebook(world: World) -> None:
    os.remove(world["gradebook"])


def writes_beside_the_gradebook(world: World) -> None:
    with open(f"{world['course']}/new", "w") as file:
        file.write("x")


def writes_into_the_data(world: World) -> None:
    with open(f"{world['data']}/new", "w") as file:
        file.write("x")


def changes_the_data(world: World) -> None:
    with open(f"{world['data']}/digits", "r+") as file:
        file.write("x")


def changes_the_gradebooks_mode(world: World) -> None:
    before = os.stat(world["gradebook"]).st_mode
    os.chmod(world["gradebook"], 0o606)
    if os.stat(world["gradebook"]).st_mode == before:
        raise Prevented
    os.chmod(world["gradebook"], 0o644)


def changes_the_gradebooks_times(world: World) -> None:
    before = os.stat(world["gradebook"]).st_mtime
    os.utime(world["gradebook"], (1, 1))
    if os.stat(world["gradebook"]).st_mtime == before:
        raise Prevented


def changes_the_interpreters_mode(world: World) -> None:
    """Through the one file that a fork keeps from outside."""
    before = os.stat("/proc/self/exe").st_mode
    os.chmod("/proc/self/exe", 0o4755)
    if os.stat("/proc/self/exe").st_mode == before:
        raise Prevented
    os.chmod("/proc/self/exe", 0o755)


def changes_the_interpreters_times(world: World) -> None:
    before = os.stat("/proc/self/exe").st_mtime
    os.utime("/proc/self/exe", (1, 1))
    if os.stat("/proc/self/exe").st_mtime == before:
        raise Prevented


def opens_the_interpreter_through_its_mapping(world: World) -> None:
    """/proc/self/map_files leads to the files as they were opened, past every mount, as /proc/self/exe does."""
    mapping = os.listdir("/proc/self/map_files")[0]
    os.close(os.open(f"/proc/self/map_files/{mapping}", os.O_RDONLY))


def links_the_gradebook_into_its_folder(world: World) -> None:
    os.link(world["gradebook"], "gradebook.db")


def opens_python_to_write(world: World) -> None:
    os.close(os.open(os.__file__, os.O_RDWR))


def adds_a_file_to_pythons_library(world: World) -> None:
    path = os.path.join(os.path.dirname(os.__file__), "sandbox_test_leftover.txt")
    with open(path, "x"):
        pass
    os.remove(path)


def keeps_a_file_for_the_next_job(world: World) -> None:
    for folder in ("/tmp", "/dev/shm", "/var/tmp"):
        with suppress(OSError):
            path = f"{folder}/sandbox-test-{world['parent']}"
            with open(path, "w") as file:
                file.write("x")


def finds_the_last_jobs_file(world: World) -> list[str]:
    found = []
    for folder in ("/tmp", "/dev/shm", "/var/tmp"):
        with suppress(OSError):
            path = f"{folder}/sandbox-test-{world['parent']}"
            os.remove(path)
            found.append(path)
    if not found:
        raise Prevented
    return found


# ---------------------------------------------------------------------------------------------- network


def _connects(family: int, kind: int, address: Any) -> None:
    with socket.socket(family, kind) as one:
        one.settimeout(5)
        one.connect(address)
        one.send(b"hello")


def connects_by_tcp(world: World) -> None:
    _connects(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", world["tcp"]))


def connects_to_an_abstract_socket(world: World) -> None:
    _connects(socket.AF_UNIX, socket.SOCK_STREAM, world["abstract"])


def connects_to_a_socket_file(world: World) -> None:
    _connects(socket.AF_UNIX, socket.SOCK_STREAM, world["path_stream"])


def sends_to_a_datagram_socket_file(world: World) -> None:
    _connects(socket.AF_UNIX, socket.SOCK_DGRAM, world["path_datagram"])


def finds_a_way_to_other_machines(world: World) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.connect(("192.0.2.1", 9))  # sends nothing; fails where there is no route
        return str(one.getsockname())


def sends_by_udp(world: World) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", ("127.0.0.1", world["udp"]))


def talks_to_the_virtual_machines_host(world: World) -> None:
    socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM).close()


def opens_a_netlink_socket_to_the_kernels_audit(world: World) -> None:
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9).close()


def uses_the_kernels_cryptography(world: World) -> None:
    socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close()


def sends_raw_packets(world: World) -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def learns_this_machines_addresses(world: World) -> list[str]:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not names:
        raise Prevented
    return names


def learns_this_machines_name(world: World) -> str:
    name = socket.gethostname()
    if name == "torchdojo":
        raise Prevented
    return name


# -------------------------------------------------------------------------------------------- processes


def sees_other_processes(world: World) -> list[str]:
    others = [name for name in os.listdir("/proc") if name.isdecimal() and int(name) != os.getpid()]
    if not others:
        raise Prevented
    return others


def learns_that_a_process_exists(world: World) -> None:
    os.stat(f"/proc/{world['neighbour']}")


def reads_its_parents_environment(world: World) -> str:
    with open(f"/proc/{world['parent']}/environ", "rb") as file:
        return file.read().decode("utf-8", "replace")


def reads_its_parents_command_line(world: World) -> str:
    with open(f"/proc/{world['parent']}/cmdline") as file:
        return file.read()


def reads_a_neighbours_memory(world: World) -> None:
    os.close(os.open(f"/proc/{world['neighbour']}/mem", os.O_RDONLY))


def reads_memory_by_a_system_call(world: World) -> int:
    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

    here = ctypes.create_string_buffer(8)
    address = id(int)  # forks share their parent's layout
    mine, theirs = Part(ctypes.addressof(here), 8), Part(address, 8)
    one = ctypes.c_ulong(1)
    return _call(
        "process_vm_readv", world["neighbour"], ctypes.byref(mine), one, ctypes.byref(theirs), one, ctypes.c_ulong(0)
    )


def attaches_to_a_neighbour(world: World) -> None:
    _call("ptrace", 16, world["neighbour"], None, None)
    os.waitpid(world["neighbour"], 0x40000000)  # __WALL: until it has stopped
    _call("ptrace", 17, world["neighbour"], None, None)


def takes_a_neighbours_descriptor(world: World) -> None:
    fd = os.pidfd_open(world["neighbour"])
    linux.syscall("pidfd_getfd", 438, ctypes.c_int(fd), ctypes.c_int(2), ctypes.c_uint(0))


def asks_whether_a_process_lives(world: World) -> None:
    os.kill(world["neighbour"], 0)


def kills_a_neighbour(world: World) -> None:
    os.kill(world["neighbour"], signal.SIGKILL)


def stops_and_continues_a_neighbour(world: World) -> None:
    os.kill(world["neighbour"], signal.SIGSTOP)
    os.kill(world["neighbour"], signal.SIGCONT)


def asks_whether_its_parent_lives(world: World) -> None:
    os.kill(world["parent"], 0)


def lowers_a_neighbours_priority(world: World) -> None:
    os.setpriority(os.PRIO_PROCESS, world["neighbour"], 10)


def kills_all_it_can(world: World) -> None:
    """Only shut in: free, it would end everything that this user runs."""
    os.kill(-1, signal.SIGKILL)
    raise Prevented


def kills_its_process_group(world: World) -> None:
    """Only shut in."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.kill(0, signal.SIGTERM)
    raise Prevented


# ---------------------------------------------------------------------------------------- left behind


def leaves_a_daemon(world: World) -> None:
    """Two forks and a session of its own; it holds the answer's pipe for as long as it lives."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            time.sleep(world.get("lives_s", 5))
        os._exit(0)
    os.wait()


def leaves_a_child(world: World) -> None:
    if os.fork() == 0:
        time.sleep(world.get("lives_s", 5))
        os._exit(0)


def leaves_a_child_and_crashes(world: World) -> None:
    leaves_a_child(world)
    ctypes.string_at(0)


def waits_with_a_daemon(world: World) -> None:
    """Until the test kills the parent; having done what it can to outlive it."""
    leaves_a_daemon(world | {"lives_s": 60})
    with suppress(OSError):
        _call("prctl", 1, 0, 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(60)


# ------------------------------------------------------------------------------------------- system calls


def makes_a_user_namespace(world: World) -> None:
    _call("unshare", linux.NEW_USERS)


def makes_a_user_namespace_by_clone(world: World) -> None:
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    arguments = (ctypes.c_ulong(value) for value in (linux.NEW_USERS | signal.SIGCHLD, 0, 0, 0, 0))
    pid = _libc.syscall(ctypes.c_long(number), *arguments)
    if pid == 0:
        os._exit(0)
    if pid < 0:
        raise OSError(ctypes.get_errno(), "clone")
    os.waitpid(pid, 0)


def makes_a_user_namespace_by_clone3(world: World) -> None:
    pid = linux.fork_into(linux.NEW_USERS)
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def mounts_a_file_system(world: World) -> None:
    with suppress(OSError):
        _call("unshare", linux.NEW_USERS | linux.NEW_MOUNTS)
    linux.mount("tmpfs", world["own"])


def makes_a_read_only_mount_writable(world: World) -> None:
    with suppress(OSError):
        _call("unshare", linux.NEW_USERS | linux.NEW_MOUNTS)
    linux.bind(world["data"], world["data"])


def changes_its_root(world: World) -> None:
    with suppress(OSError):
        _call("unshare", linux.NEW_USERS)
    os.chroot(world["own"])


def makes_a_network_namespace(world: World) -> None:
    with suppress(OSError):
        _call("unshare", linux.NEW_USERS)
    _call("unshare", linux.NEW_NETWORK)


def becomes_root_by_a_setuid_program(world: World) -> str:
    shown = subprocess.run([world["setuid"], "-u"], capture_output=True, text=True, check=True).stdout.strip()
    if shown != "0":
        raise Prevented(f"user id {shown}")
    return shown


def makes_a_device_file(world: World) -> None:
    os.mknod("memory", 0o20666, os.makedev(1, 3))
    os.close(os.open("memory", os.O_RDWR))


def takes_a_key_from_the_keyring(world: World) -> None:
    number = {"x86_64": 250, "aarch64": 219}[platform.machine()]
    linux.syscall("keyctl", number, ctypes.c_int(0), ctypes.c_int(-4), ctypes.c_int(1), 0, 0)


def makes_a_file_in_memory_that_no_limit_counts(world: World) -> None:
    os.close(os.memfd_create("x"))


def makes_shared_memory_that_outlives_it(world: World) -> None:
    segment = _call("shmget", 0, ctypes.c_size_t(4096), 0o1600)
    _call("shmctl", segment, 0, None)


def types_into_a_terminal(world: World) -> None:
    import fcntl
    import pty

    _, slave = pty.openpty()
    with suppress(OSError):
        os.setsid()
    fcntl.ioctl(slave, 0x540E, 0)  # TIOCSCTTY
    fcntl.ioctl(slave, 0x5412, b"x")  # TIOCSTI


def forgets_to_die_with_its_parent(world: World) -> None:
    """The call answers as if done; whether it was is asked."""
    _call("prctl", 1, 0, 0, 0, 0)
    signal_number = ctypes.c_int(0)
    _call("prctl", 2, ctypes.byref(signal_number), 0, 0, 0)
    if signal_number.value:
        raise Prevented


# ---------------------------------------------------------------------------------------------- limits


def _fill(folder: str) -> int:
    """64 MiB, by files of 8."""
    names = [os.path.join(folder, f"fill-{number}") for number in range(8)]
    try:
        for name in names:
            with open(name, "wb") as file:
                for _ in range(8):
                    file.write(b"\0" * (1 << 20))
    finally:
        for name in names:
            with suppress(OSError):
                os.remove(name)
    return 64


def fills_tmp(world: World) -> int:
    return _fill("/tmp")


def fills_its_folder(world: World) -> int:
    return _fill(world["own"])


def fills_shared_memory(world: World) -> int:
    return _fill("/dev/shm")


def fills_its_home(world: World) -> int:
    return _fill(os.environ.get("HOME", tempfile.gettempdir()))


def writes_one_large_file(world: World) -> int:
    with open("large", "wb") as file:
        for _ in range(12):
            file.write(b"\0" * (1 << 20))
            file.flush()
    os.remove("large")
    return 12


def starts_two_hundred_threads(world: World) -> int:
    threading.stack_size(64 * 1024)
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait) for _ in range(200)]
    started = 0
    try:
        for thread in threads:
            thread.start()
            started += 1
    finally:
        stop.set()
    return started


def forks_sixty_times(world: World) -> int:
    pids = []
    try:
        for _ in range(60):
            pid = os.fork()
            if pid == 0:
                time.sleep(20)
                os._exit(0)
            pids.append(pid)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return len(pids)


def opens_two_thousand_files(world: World) -> int:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    fds: list[int] = []
    try:
        fds += (os.open(os.devnull, os.O_RDONLY) for _ in range(2000))
    finally:
        for fd in fds:
            os.close(fd)
    return 2000


def takes_300_mib_at_once(world: World) -> int:
    return len(bytearray(300 << 20)) >> 20


# ---------------------------------------------------------------------------------- what was inherited


def finds_the_secret_in_its_environment(world: World) -> str:
    _libc.getenv.restype = ctypes.c_char_p
    by_c = _libc.getenv(b"TORCHDOJO_TEST_SECRET")
    with open("/proc/self/environ", "rb") as file:
        whole = file.read()
    found = b"open sesame" in whole or by_c or os.environ.get("TORCHDOJO_TEST_SECRET")
    if not found:
        raise Prevented
    return str(found)


def reads_an_inherited_descriptor(world: World) -> str:
    """The server's listening sockets, say: anything open that was not given."""
    given = {0, 1, 2, world["channel"]}
    for fd in range(4096):
        with suppress(OSError):
            os.fstat(fd)
            if fd not in given:
                return os.readlink(f"/proc/self/fd/{fd}")
    raise Prevented


def answers_for_the_grader(world: World) -> None:
    """Descriptor 1 is the server's line to the tests."""
    os.write(1, b"")
    if os.fstat(1).st_rdev == os.stat(os.devnull).st_rdev:
        raise Prevented


def says_which_descriptors_are_open(world: World) -> list[int]:
    open_ones = []
    for fd in range(4096):
        with suppress(OSError):
            os.fstat(fd)
            open_ones.append(fd)
    return open_ones

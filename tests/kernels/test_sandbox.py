"""The sandbox keeps student code in, for root and for an ordinary user, and each deed succeeds without it."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.kernels import sandbox_deeds as deeds
from tests.kernels import sandbox_works as works
from tests.kernels.sandbox_client import ORDINARY, ROOT, SYSTEM_PYTHON, USERS, Server, as_ordinary_user, start
from torchdojo.errors import OursError
from torchdojo.kernels import landlock, sandbox
from torchdojo.kernels.sandbox import SandboxSpec

TIGHT = {"size_mib": 32, "file_mib": 10, "processes": 8, "open_files": 256, "data_mib": 150}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture(scope="module", params=USERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server under each kind of user."""
    one = start(request.param)
    yield one
    one.end()


FREE_ONLY_ROOT = {
    deeds.opens_python_to_write,
    deeds.adds_a_file_to_pythons_library,
    deeds.sends_raw_packets,
    deeds.opens_a_netlink_socket_to_the_kernels_audit,
    deeds.makes_a_device_file,
    deeds.opens_the_interpreter_through_its_mapping,
}
# deed -> what the machine may lack for it to succeed even when free
MAY_LACK = {
    deeds.talks_to_the_virtual_machines_host: "vsock",
    deeds.uses_the_kernels_cryptography: "AF_ALG",
    deeds.opens_a_netlink_socket_to_the_kernels_audit: "audit",
    deeds.finds_a_way_to_other_machines: "a network",
    deeds.learns_this_machines_addresses: "a network",
    deeds.takes_a_key_from_the_keyring: "keyrings",
    deeds.types_into_a_terminal: "TIOCSTI",
    deeds.makes_shared_memory_that_outlives_it: "System V memory",
    deeds.reads_memory_by_a_system_call: "ptrace of neighbours (yama)",
    deeds.attaches_to_a_neighbour: "ptrace of neighbours (yama)",
    deeds.takes_a_neighbours_descriptor: "ptrace of neighbours (yama)",
    deeds.reads_a_neighbours_memory: "ptrace of neighbours (yama)",
}
PREVENTED_BY_FULL = [
    deeds.reads_the_gradebook,
    deeds.reads_the_gradebook_by_a_link,
    deeds.reads_the_gradebook_by_dots,
    deeds.reads_the_gradebook_through_the_parents_root,
    deeds.reads_the_gradebook_through_the_parents_folder,
    deeds.reads_the_gradebook_through_process_one,
    deeds.stats_the_gradebook,
    deeds.lists_the_course,
    deeds.finds_folders_that_are_none_of_its_business,
    deeds.changes_the_gradebook,
    deeds.empties_the_gradebook,
    deeds.removes_the_gradebook,
    deeds.writes_beside_the_gradebook,
    deeds.writes_into_the_data,
    deeds.changes_the_data,
    deeds.changes_the_gradebooks_mode,
    deeds.changes_the_gradebooks_times,
    deeds.links_the_gradebook_into_its_folder,
    deeds.opens_the_interpreter_through_its_mapping,
    deeds.opens_python_to_write,
    deeds.adds_a_file_to_pythons_library,
    deeds.connects_by_tcp,
    deeds.connects_to_an_abstract_socket,
    deeds.connects_to_a_socket_file,
    deeds.sends_to_a_datagram_socket_file,
    deeds.finds_a_way_to_other_machines,
    deeds.talks_to_the_virtual_machines_host,
    deeds.opens_a_netlink_socket_to_the_kernels_audit,
    deeds.uses_the_kernels_cryptography,
    deeds.sends_raw_packets,
    deeds.learns_this_machines_addresses,
    deeds.learns_this_machines_name,
    deeds.sees_other_processes,
    deeds.learns_that_a_process_exists,
    deeds.reads_its_parents_environment,
    deeds.reads_its_parents_command_line,
    deeds.reads_a_neighbours_memory,
    deeds.reads_memory_by_a_system_call,
    deeds.attaches_to_a_neighbour,
    deeds.takes_a_neighbours_descriptor,
    deeds.asks_whether_a_process_lives,
    deeds.kills_a_neighbour,
    deeds.stops_and_continues_a_neighbour,
    deeds.asks_whether_its_parent_lives,
    deeds.lowers_a_neighbours_priority,
    deeds.makes_a_user_namespace,
    deeds.makes_a_user_namespace_by_clone,
    deeds.makes_a_user_namespace_by_clone3,
    deeds.mounts_a_file_system,
    deeds.makes_a_read_only_mount_writable,
    deeds.changes_its_root,
    deeds.makes_a_network_namespace,
    deeds.makes_a_device_file,
    deeds.takes_a_key_from_the_keyring,
    deeds.makes_a_file_in_memory_that_no_limit_counts,
    deeds.makes_shared_memory_that_outlives_it,
    deeds.types_into_a_terminal,
    deeds.forgets_to_die_with_its_parent,
    deeds.fills_tmp,
    deeds.fills_its_folder,
    deeds.fills_shared_memory,
    deeds.fills_its_home,
    deeds.writes_one_large_file,
    deeds.starts_two_hundred_threads,
    deeds.forks_sixty_times,
    deeds.opens_two_thousand_files,
    deeds.takes_300_mib_at_once,
    deeds.finds_the_secret_in_its_environment,
    deeds.reads_an_inherited_descriptor,
    deeds.answers_for_the_grader,
]
# What Landlock and seccomp stop by themselves. The rest is what `partial` says it does not.
PREVENTED_BY_PARTIAL = [
    deed
    for deed in PREVENTED_BY_FULL
    if deed
    not in (
        deeds.stats_the_gradebook,
        deeds.finds_folders_that_are_none_of_its_business,
        deeds.learns_that_a_process_exists,
        deeds.connects_to_a_socket_file,
        deeds.sends_to_a_datagram_socket_file,
        deeds.learns_this_machines_addresses,
        deeds.learns_this_machines_name,
        deeds.lowers_a_neighbours_priority,
        deeds.fills_its_folder,
        deeds.fills_its_home,
        deeds.fills_shared_memory,
        deeds.starts_two_hundred_threads,
        deeds.forks_sixty_times,
    )
]


@pytest.mark.parametrize("deed", PREVENTED_BY_FULL, ids=lambda deed: deed.__name__)
def test_full_prevents(server: Server, deed: Callable[..., Any]) -> None:
    """What succeeds free fails shut in, for root and for an ordinary user."""
    answer = server.do(deed, {"level": "full", **TIGHT})
    assert not answer["ok"], answer["value"]
    assert answer["neighbour_lives"]
    _succeeds_free(server, deed)


@pytest.mark.parametrize("deed", PREVENTED_BY_PARTIAL, ids=lambda deed: deed.__name__)
def test_partial_prevents(server: Server, deed: Callable[..., Any]) -> None:
    """What Landlock and seccomp can stop alone they do."""
    if landlock.abi() < 6:
        pytest.skip("Landlock here cannot scope signals and abstract sockets (ABI 6)")
    answer = server.do(deed, {"level": "partial", **TIGHT})
    assert not answer["ok"], answer["value"]
    assert answer["neighbour_lives"]
    _succeeds_free(server, deed)


def _succeeds_free(server: Server, deed: Callable[..., Any]) -> None:
    free = server.do(deed, None)
    if not free["ok"] and deed in FREE_ONLY_ROOT and server.world["user"] != 0:
        return  # the user's own lack of rights prevents it; root's control shows that the deed is sound
    if not free["ok"] and deed in MAY_LACK:
        pytest.skip(f"prevented, but so it is when free: this machine lacks {MAY_LACK[deed]} ({free['raised']})")
    assert free["ok"], free["raised"]


def test_udp_does_not_arrive(server: Server) -> None:
    """A datagram to a program on this machine arrives free and not from inside, whatever sendto said."""
    assert server.do(deeds.sends_by_udp, None).get("udp_arrived")
    for level in ("full", "partial"):
        assert not server.do(deeds.sends_by_udp, {"level": level}).get("udp_arrived")


@pytest.mark.parametrize("deed", [deeds.kills_all_it_can, deeds.kills_its_process_group], ids=lambda d: d.__name__)
def test_signals_to_everyone_reach_no_one_outside(server: Server, deed: Callable[..., Any]) -> None:
    """kill(-1) and kill(0) end nothing but what the job started."""
    answer = server.do(deed, {"level": "full"})
    assert answer["neighbour_lives"]
    assert server.process.poll() is None


def test_setuid_programs_gain_nothing(tmp_path: Path) -> None:
    """A setuid-root program runs as the student: mounts are nosuid and no_new_privs is set."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a setuid-root program")
    server = Server(as_ordinary_user())
    try:
        program = f"{server.world['data']}/digits"  # renewed by the server, and readable inside
        shutil.copy("/usr/bin/id", program)
        os.chown(program, 0, 0)
        os.chmod(program, 0o4755)
        free = server.do(deeds.becomes_root_by_a_setuid_program, None, setuid=program)
        assert free["ok"], free["raised"]
        for level in ("full", "partial"):
            answer = server.do(deeds.becomes_root_by_a_setuid_program, {"level": level}, setuid=program)
            assert "Prevented" in answer["raised"], answer
    finally:
        server.end()


@pytest.mark.parametrize(
    "deed", [deeds.leaves_a_daemon, deeds.leaves_a_child, deeds.leaves_a_child_and_crashes], ids=lambda d: d.__name__
)
def test_nothing_is_left_behind(server: Server, deed: Callable[..., Any]) -> None:
    """What a job started is gone when the job is, however it daemonised and however the job ended."""
    assert server.do(deed, None)["left_open"]
    answer = server.do(deed, {"level": "full"})
    assert not answer["left_open"]
    assert answer["seconds"] < 30


def _is_of_the_job(process: psutil.Process, zygote: int) -> bool:
    try:
        return process.ppid() != zygote or bool(process.children())
    except psutil.NoSuchProcess:  # one that was only passing through
        return False


def test_everything_dies_with_the_zygote() -> None:
    """A killed zygote takes its job and the job's daemons along."""
    server = Server([sys.executable])
    request = {"deed": "tests.kernels.sandbox_deeds:waits_with_a_daemon", "spec": {"level": "full"}, "more": {}}
    assert server.process.stdin is not None
    assert server.process.stdout is not None
    server.process.stdin.write(json.dumps(request) + "\n")
    server.process.stdin.flush()
    zygote = psutil.Process(server.process.pid)
    below: list[psutil.Process] = []
    until_s = time.monotonic() + 30
    while len(below) < 3 and time.monotonic() < until_s:  # the neighbour, the job, its daemon
        below = zygote.children(recursive=True)
        time.sleep(0.05)
    job = [one for one in below if _is_of_the_job(one, server.process.pid)]
    assert len(job) >= 2
    time.sleep(0.5)  # until the job has done what it can
    zygote.kill()
    _, alive = psutil.wait_procs(job, timeout=10)
    for one in below:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    server.process.wait()
    server.process.stdin.close()
    server.process.stdout.close()
    shutil.rmtree(Path(server.world["course"]).parent)
    assert not alive


def test_a_job_finds_nothing_of_the_one_before(server: Server) -> None:
    """/tmp, /dev/shm and the job's folder are new for every job."""
    server.do(deeds.keeps_a_file_for_the_next_job, None)
    assert server.do(deeds.finds_the_last_jobs_file, None)["ok"]
    server.do(deeds.keeps_a_file_for_the_next_job, {"level": "full"})
    assert not server.do(deeds.finds_the_last_jobs_file, {"level": "full"})["ok"]
    assert not server.do(deeds.finds_the_last_jobs_file, None)["ok"]


def test_a_folder_that_is_bound_keeps_what_was_written(server: Server) -> None:
    """`folder_is: bound` shows outside what the job wrote, and nothing else can be written outside."""
    answer = server.do(works.uses_its_own_folder, {"level": "full", "folder_is": "bound"})
    assert answer["value"] == ["here", "made", "notebook.ipynb", "y.txt", "z.txt"], answer
    assert sorted(os.listdir(server.world["own"])) == ["made", "notebook.ipynb", "y.txt", "z.txt"]
    server.do(works.uses_its_own_folder, {"level": "full"})
    assert os.listdir(server.world["own"]) == ["notebook.ipynb"]


def test_descriptors_are_what_was_kept(server: Server) -> None:
    """Three standard ones and the kept one, and no more."""
    answer = server.do(deeds.says_which_descriptors_are_open, {"level": "full"})
    assert len(answer["value"]) == 4
    assert answer["value"][:3] == [0, 1, 2]


def test_a_folder_cannot_be_kept_open() -> None:
    """An open folder leads out of any root, so it is refused before anything else happens."""
    fd = os.open("/", os.O_RDONLY)
    try:
        with pytest.raises(OursError, match="open folder"):
            sandbox.enter(SandboxSpec("/tmp"), keep=[fd])
    finally:
        os.close(fd)


def test_a_full_sandbox_is_not_entered_where_it_would_shut_in_the_machine() -> None:
    """`enter` without `fork` refuses: it would take this process's own mounts apart."""
    script = (
        "import os\nfrom torchdojo.kernels.sandbox import *\n"
        "from torchdojo.errors import OursError\ntry: enter(SandboxSpec('/tmp'), keep=[0, 1, 2])\n"
        "except Exception as e: print(type(e).__name__, os.path.exists('/etc/passwd'))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "OursError True", done.stderr


def test_a_process_with_threads_cannot_fork_a_sandbox() -> None:
    """The child of such a fork could hang, so it is refused with a sentence."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        with pytest.raises(OursError, match="threads"):
            sandbox.fork(SandboxSpec("/tmp"))
    finally:
        stop.set()
        thread.join()


def test_a_spec_crosses_to_a_zygote_and_back() -> None:
    """It pickles, and survives JSON as it was."""
    spec = SandboxSpec("/tmp/x", "partial", ("/data",), (("A", "b"),), (("c", "/d"),), cuda=True)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert SandboxSpec(**json.loads(json.dumps(spec.to_plain()))) == spec
    error = pickle.loads(pickle.dumps(sandbox.SandboxError("clone3: no", 1)))
    assert (error.step, error.code) == ("clone3: no", 1)


def test_a_spec_that_makes_no_sense_is_refused() -> None:
    """A level that is none of the three, or a folder that is not absolute."""
    for folder, level in (("/tmp", "fully"), ("tmp", "full")):
        with pytest.raises(OursError):
            SandboxSpec(folder, level)  # type: ignore[arg-type]


def test_the_limits_say_what_they_are_told(server: Server) -> None:
    """Memory beyond data_mib is a MemoryError that Python survives; less is no matter."""
    assert server.do(works.raises_when_memory_is_short, {"level": "full", "data_mib": 150})["value"] == "MemoryError"
    assert server.do(works.raises_when_memory_is_short, {"level": "full", "data_mib": 900})["value"] == "had it"


def test_a_limit_of_cpu_time_ends_the_job(server: Server) -> None:
    """cpu_s kills, though process 1 of a namespace ignores milder signals."""
    answer = server.do(works.computes_for_ten_seconds, {"level": "full", "cpu_s": 1})
    assert answer["status"] == -signal.SIGKILL


def test_a_job_can_be_interrupted_from_outside(server: Server) -> None:
    """SIGINT from the runner reaches Python's handler inside."""
    for level in ("full", "partial"):
        answer = server.do(works.is_interrupted, {"level": level}, interrupt_after_s=1.5)
        assert answer["value"] == "interrupted"


def test_how_a_job_ended_can_be_told(server: Server) -> None:
    """Exit status and signal of the job are those of the child that the zygote waits for."""
    for level in ("full", "partial"):
        assert server.do(works.ends_with_status_three, {"level": level})["status"] == 3
        assert server.do(works.crashes, {"level": level})["status"] == -signal.SIGSEGV
        assert server.do(works.aborts, {"level": level})["status"] in (-signal.SIGABRT, -signal.SIGSEGV)


@pytest.mark.parametrize("level", ["full", "partial"])
@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (works.uses_temporary_files, True),
        (works.reads_the_data, "0123456789"),
        (works.uses_device_files, [1, 100, 10, 10, errno.ENOSPC]),
        (works.runs_a_shell_command, "HELLO\nnotebook.ipynb\n"),
        (works.waits_for_its_children, [0, 1, 2]),
        (works.signals_its_children, -signal.SIGTERM),
        (works.interrupts_itself, "alarm term term term"),
        (works.uses_threads, 55),
        (works.uses_multiprocessing, [True, 0, 7, [1, 2]]),
        (works.runs_asyncio, "hello"),
        (works.knows_who_and_where_it_is, ["student", "student", True, True, "Europe/Berlin", "C.UTF-8"]),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_still_works(server: Server, level: str, deed: Callable[..., Any], expected: Any) -> None:
    """What a course needs of the operating system is still there."""
    answer = server.do(deed, {"level": level})
    assert answer["ok"], answer["trace"]
    if deed is works.knows_who_and_where_it_is and level == "partial":
        expected = [*expected[:2], server.world["user"] != 0, *expected[3:]]  # a Python below /root keeps root's id
    assert answer["value"] == expected


@pytest.mark.parametrize(
    ("deed", "expected"),
    [
        (works.opens_its_output_by_name, "hello"),
        (works.runs_a_command_in_a_terminal, "terminal"),
        (works.talks_to_itself_over_the_network, "hello"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_still_works_when_full(server: Server, deed: Callable[..., Any], expected: Any) -> None:
    """A terminal and a network of its own, which partial cannot give."""
    answer = server.do(deed, {"level": "full"})
    assert answer["ok"], answer["trace"]
    assert answer["value"] == expected


def test_another_python_is_the_same_python(server: Server) -> None:
    """subprocess with sys.executable finds this interpreter and its library."""
    for level in ("full", "partial"):
        answer = server.do(works.runs_python, {"level": level})
        assert str(sys.version_info[:2]) in answer["value"], answer


def test_root_gives_up_its_id_when_partial_too() -> None:
    """Where Python can be read by others, and the way to the job's folder be gone, root becomes an unused id."""
    if os.geteuid() != 0 or not os.path.exists(SYSTEM_PYTHON):
        pytest.skip("needs root, and a Python that others can read")
    server = Server([SYSTEM_PYTHON])
    try:
        answer = server.do(works.uses_its_own_folder, {"level": "partial"}, look_at_it=True)
        assert answer["ok"], answer["trace"]
        assert answer["owner"] == 64977
    finally:
        server.end()


def test_the_runner_can_watch_and_end_a_job(server: Server) -> None:
    """From outside its memory can be measured, its files be reached, and SIGKILL ends it."""
    answer = server.do(works.reads_the_data, {"level": "full"}, look_at_it=True)
    assert answer.get("trouble") is None
    assert answer["pss_kib"] > 100
    assert "proc" in answer["in_its_root"]
    assert answer["status"] == -signal.SIGKILL
    assert answer["owner"] == (64977 if server.world["user"] == 0 else server.world["user"])
    assert not answer["left_open"]


def test_a_folder_below_a_readable_one_is_the_jobs_own(server: Server) -> None:
    """A job's folder inside a folder that it may read can be written, and the rest of that cannot."""
    around = str(Path(server.world["own"]).parent)
    spec = {"level": "full", "read_only": [around]}
    assert server.do(works.uses_its_own_folder, spec)["ok"]
    assert not server.do(deeds.writes_beside_the_gradebook, spec)["ok"]
    assert server.do(deeds.reads_the_gradebook, spec)["ok"]  # it was told to


def test_a_readable_folder_may_not_hide_the_jobs_own(server: Server) -> None:
    """/tmp as a data folder is refused with a sentence, before anything is mounted."""
    answer = server.do(works.reads_the_data, {"level": "full", "read_only": ["/tmp"]})
    assert "SandboxError" in answer["raised"]
    assert "/tmp would hide" in answer["raised"]


@pytest.mark.parametrize(
    "deed", [deeds.changes_the_interpreters_mode, deeds.changes_the_interpreters_times], ids=lambda d: d.__name__
)
def test_a_python_of_the_users_own_cannot_be_changed(deed: Callable[..., Any]) -> None:
    """A fork's /proc/self/exe leads past every mount; where the file is the user's, the zygote is started anew."""
    folder = Path(tempfile.mkdtemp())
    python = folder / "python3"
    try:
        command = as_ordinary_user()
        shutil.copy(os.path.realpath(command[-1]), python)
        if os.geteuid() == 0:
            folder.chmod(0o755)
            os.chown(python, ORDINARY, ORDINARY)
        command[-1] = str(python)
        home = {"PYTHONHOME": "/usr"} if SYSTEM_PYTHON in as_ordinary_user() else {"PYTHONHOME": sys.base_prefix}
        free = Server(command, environment={**home, "TORCHDOJO_TEST_UNPROTECTED": "1"})
        shut_in = Server(command, environment=home)
        try:
            assert free.do(deed, None)["ok"]
            assert "protect_interpreter" in free.trouble(deed, {"level": "full"})
            for level in ("full", "partial"):
                answer = shut_in.do(deed, {"level": level, "environment": list(map(list, home.items()))})
                assert not answer["ok"]
                assert python.stat().st_mode & 0o7777 == 0o755
        finally:
            free.end()
            shut_in.end()
    finally:
        shutil.rmtree(folder)

"""The warm server as a learner meets it: `torchdojo check` typed again and again, killed, stopped, interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.practice.conftest import RIGHT, STUB, WRONG, learners_cells, plain, run_check
from torchdojo.practice.channel import Door, Gone, Line, name_for
from torchdojo.practice.warm_server import Server

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def _own_runtime_folder(runtime_folder: Path) -> None:
    """No test meets a server of another, or of whoever runs the tests."""


def server_pid(course: Path) -> int:
    """The process that serves `course`, or 0."""
    with Door() as door:
        line = door.connect(name_for(course))
    if line is None:
        return 0
    with line:
        return line.peer()[0]


def below(pid: int) -> list[psutil.Process]:
    """A server's processes, itself among them."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def are_gone(processes: list[psutil.Process], within_s: float = 20) -> bool:
    """Whether all of them end in time."""
    return not psutil.wait_procs(processes, within_s)[1]


def test_life_of_a_server(course: Path, notebook: Write, runtime_folder: Path) -> None:
    """The second check is by the server of the first; a killed one is replaced; --stop leaves nothing."""
    path = notebook(learners_cells(RIGHT))
    here = path.parent
    command = (path.name, "double", "--course-dir", course)

    first = run_check(*command, runtime=runtime_folder, here=here)
    assert first.returncode == 0, first.stderr
    assert "All 3 tests passed · 3 of 3 points" in first.stdout
    pid = server_pid(course)
    assert pid

    notebook(learners_cells(WRONG))
    second = run_check(*command, runtime=runtime_folder, here=here)
    assert (second.returncode, server_pid(course)) == (1, pid)
    assert "0 of 3 tests passed" in second.stdout

    family = below(pid)
    assert len(family) >= 2  # with a parent of kernels
    os.kill(pid, signal.SIGKILL)
    assert are_gone(family)
    third = run_check(*command, runtime=runtime_folder, here=here)
    assert third.returncode == 1
    assert server_pid(course) not in (0, pid)

    family = below(server_pid(course))
    stopped = run_check("--stop", runtime=runtime_folder)
    assert (stopped.returncode, stopped.stderr) == (0, "Stopped 1.\n")
    assert are_gone(family, 5)
    assert list((runtime_folder / "torchdojo").iterdir()) == []
    assert run_check("--stop", runtime=runtime_folder).stderr == "Nothing was kept warm.\n"


@pytest.fixture
def at_work(
    course: Path, notebook: Write, runtime_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A check that would take ten minutes: the command, and the kernel with which it is at work. TMPDIR is its own."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    mark = tmp_path / "is-at-work"
    sleeps = f"import os, time\nopen({str(mark)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    path = notebook([plain(sleeps), *learners_cells(RIGHT).values()])
    command = [sys.executable, "-m", "torchdojo", "check", str(path), "double", f"--course-dir={course}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as check:
        until_s = time.monotonic() + 120
        while not (mark.exists() and mark.read_text()):
            assert time.monotonic() < until_s
            assert check.poll() is None, check.communicate()
            time.sleep(0.05)
        yield check, psutil.Process(int(mark.read_text()))
        check.kill()


AtWork = tuple[subprocess.Popen[str], psutil.Process]


def test_interrupt_ends_the_check_alone(course: Path, notebook: Write, runtime_folder: Path, at_work: AtWork) -> None:
    """Ctrl-C ends the check at work, status 130; the server stays, and has the next one."""
    check, kernel = at_work
    pid = server_pid(course)
    check.send_signal(signal.SIGINT)
    _, said = check.communicate(timeout=20)
    assert (check.returncode, said.splitlines()[-1]) == (130, "Interrupted.")
    assert are_gone([kernel])

    again = run_check(notebook(learners_cells(RIGHT)), "double", "--course-dir", course, runtime=runtime_folder)
    assert (again.returncode, server_pid(course)) == (0, pid)


def test_server_killed_at_work(course: Path, at_work: AtWork, tmp_path: Path) -> None:
    """A server that is killed at work leaves no process and no folder."""
    check, _ = at_work
    pid = server_pid(course)
    family = below(pid)
    begun = list((tmp_path / "tmp").iterdir())
    check.send_signal(signal.SIGSTOP)  # it would start another
    os.kill(pid, signal.SIGKILL)
    check.kill()
    check.wait()
    assert are_gone(family)
    assert begun
    assert list((tmp_path / "tmp").iterdir()) == []


def test_stop_at_work(runtime_folder: Path, course: Path, at_work: AtWork, tmp_path: Path) -> None:
    """--stop ends the check at work too, and all that belongs to it."""
    check, _ = at_work
    family = below(server_pid(course))
    assert run_check("--stop", runtime=runtime_folder).stderr == "Stopped 1.\n"
    assert are_gone(family, 5)
    assert check.wait(20) == 3
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, float], str]]:
    """`answering(stamp, idle_s)`: a server in a thread of this process; returns the name of its socket."""
    monkeypatch.setattr("torchdojo.practice.warm_server._end_process", lambda: None)
    begun: list[tuple[Server, threading.Thread]] = []

    def begin(stamp: str, idle_s: float) -> str:
        name = f"{stamp}-{os.getpid()}.sock"
        with Door() as door, door.locked():
            server = Server(name, stamp, idle_s)
        thread = threading.Thread(target=server.serve_connections, daemon=True)
        thread.start()
        begun.append((server, thread))
        return name

    yield begin
    for server, thread in begun:
        thread.join(20)
        server.close()
        assert not thread.is_alive()


def test_server_of_old_files_ends(answering: Callable[[str, float], str]) -> None:
    """A client whose torchdojo has another stamp is sent away, and the socket is taken away: others start anew."""
    name = answering("old", 3)
    with Door() as door:
        line = door.connect(name)
        assert line is not None
        with line:
            line.send({"do": "check", "stamp": "new"})
            assert line.receive(20) == {"event": "outdated"}
        assert door.connect(name) is None
        assert name not in door.names()


def test_server_without_work_ends(answering: Callable[[str, float], str]) -> None:
    """After its time without work it ends by itself; `answering` sees that it does."""
    answering("idle", 0.1)


def test_another_users_line_is_refused(answering: Callable[[str, float], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of another user is not spoken to, and one who asks as another user hears nothing."""
    asks = threading.current_thread()
    monkeypatch.setattr(Line, "peer", lambda _: (1, os.getuid() + (threading.current_thread() is not asks)))
    name = answering("whose", 3)
    with Door() as door:
        line = door.connect(name)
        assert line is not None
        with line, suppress(Gone):  # it may have hung up before
            line.send({"do": "check", "stamp": "whose"})
            assert line.receive(20) is None
        monkeypatch.setattr(Line, "peer", lambda _: (1, os.getuid() + 1))
        assert door.connect(name) is None


def test_one_check_at_a_time(course: Path, notebook: Write, runtime_folder: Path) -> None:
    """Two checks at once: one server, both come to their end."""
    path = notebook(learners_cells(RIGHT, STUB))
    command = [sys.executable, "-m", "torchdojo", "check", str(path), "--course-dir", str(course), "--json"]
    checks = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = [check.communicate(timeout=200)[0].splitlines() for check in checks]
    assert [check.returncode for check in checks] == [1, 1]
    assert [[json.loads(line)["points"] for line in lines] for lines in told] == [[3, 0], [3, 0]]

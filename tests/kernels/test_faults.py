"""Whatever a notebook does, a Result comes back, what it earned before stays, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest
from conftest import errors, notebook, text

from torchdojo.kernels.execute import Runner
from torchdojo.kernels.job import Job, JobStatus, Limits, Result

Run = Callable[..., Result]
SIGNALS_ITSELF = "in a full sandbox a kernel is process 1 of its namespace, which cannot signal itself"
BRIEF = Limits(cell_timeout_s=1.0, notebook_timeout_s=60)


def gone(pid: int, within_s: float = 2.0) -> bool:
    """Whether a process is gone, or goes soon."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if not psutil.pid_exists(pid):
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    "endless",
    [
        "while True: pass",
        "import time; time.sleep(1000)",
        "import asyncio; await asyncio.sleep(1000)",
        "import subprocess; subprocess.run(['sleep', '1000'])",
        "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)",
    ],
    ids=["busy", "asleep", "awaiting", "waiting for a child", "stopped by itself"],
)
def test_cell_timeout_interrupts_and_the_notebook_goes_on(run: Run, endless: str, level: str) -> None:
    """A cell at its time limit is interrupted; its output and its variables stay, and the next cell runs."""
    if level == "full" and "SIGSTOP" in endless:
        pytest.skip(SIGNALS_ITSELF)
    result = run("x = 5\nprint('before')\n" + endless, "x", limits=BRIEF)
    assert result.status is JobStatus.STOPPED
    stop = result.cells[0].stop
    assert stop is not None
    assert (stop.limit, stop.value) == ("cell_timeout_s", 1.0)
    assert 1.0 <= stop.reached < 5
    assert "before" in text(result, 0)
    assert errors(result)[0][-1] == "CellTimeout"
    assert "cell_timeout_s is 1" in text(result, 0)
    assert text(result, 1) == "5"


@pytest.mark.parametrize(
    "stubborn",
    [
        "import time\nwhile True:\n    try:\n        time.sleep(100)\n    except BaseException:\n        pass",
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    ],
    ids=["swallows the interrupt", "ignores the signal"],
)
def test_a_cell_that_will_not_stop_is_killed(run: Run, stubborn: str) -> None:
    """A cell that survives the interrupt ends its kernel; earlier outputs stay, later cells say why they are empty."""
    result = run("1 + 1", "print('before')\n" + stubborn, "2 + 2", limits=BRIEF)
    assert result.status is JobStatus.STOPPED
    assert text(result, 0) == "2"
    assert "before" in text(result, 1)
    assert errors(result)[1:] == [["CellTimeout"], ["CellNotRun"]]
    assert "cell_timeout_s" in text(result, 2)


def test_notebook_timeout_stops_the_rest(run: Run) -> None:
    """When the notebook's time is over, the cell at work is stopped and the rest does not run."""
    result = run("1", "import time; time.sleep(100)", "2", limits=Limits(cell_timeout_s=50, notebook_timeout_s=1.0))
    assert errors(result) == [[], ["KeyboardInterrupt", "NotebookTimeout"], ["CellNotRun"]]
    assert result.cells[1].stop is not None
    assert result.cells[1].stop.limit == "notebook_timeout_s"


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("import os; os._exit(3)", "exit status 3"),
        ("import ctypes; ctypes.string_at(0)", "signal 11"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal 9"),
        ("import os; os.abort()", "signal 6"),
        ("import os; os.closerange(0, 4096)", "kernel"),
        ("import os; os.kill(os.getppid(), 19); os._exit(4)", "kernel"),
    ],
    ids=["os._exit", "segmentation fault", "kills itself", "aborts", "closes all descriptors", "stops its parent"],
)
def test_a_kernel_that_dies_says_how(run: Run, end: str, words: str, level: str) -> None:
    """A kernel that ends by itself keeps all output before, and the sentence names the way it ended."""
    if level == "full" and ("SIGKILL" in end or "abort" in end):
        pytest.skip(SIGNALS_ITSELF)
    result = run("1 + 1", "print('before')\n" + end, "2 + 2")
    assert result.status is JobStatus.DIED
    assert text(result, 0) == "2"
    if "getppid" not in end:
        assert text(result, 1).startswith("before")
        assert errors(result) == [[], ["KernelDied"], ["CellNotRun"]]
    assert words in result.sentence


def test_exit_ends_the_kernel_after_its_cell(run: Run) -> None:
    """exit() lets its cell end, as in Jupyter; the next cell finds no kernel."""
    result = run("exit()\nprint('still')", "1")
    assert result.status is JobStatus.DIED
    assert text(result, 0) == "still"
    assert errors(result) == [[], ["KernelDied"]]


def test_a_huge_allocation_raises(run: Run) -> None:
    """More memory than the limit at once is an error at its line, and the notebook goes on."""
    result = run("import numpy\nnumpy.zeros(20 << 30, dtype='u1')", "bytearray(20 << 30)", "1")
    assert result.status is JobStatus.COMPLETED
    assert errors(result) == [["MemoryError"], ["MemoryError"], []]


@pytest.mark.parametrize(
    "hungry",
    [
        """\
    import os, time
    for _ in range(6):
        if os.fork() == 0:
            b = b'x' * (150 << 20)
            time.sleep(100)
    time.sleep(100)""",
        """\
    import mmap, time
    m = mmap.mmap(-1, 1 << 30)
    for i in range(0, 1 << 30, 4096):
        m[i] = 1
    time.sleep(100)""",
    ],
    ids=["spread over children", "shared"],
)
def test_memory_is_counted_over_all_processes(run: Run, hungry: str) -> None:
    """Memory that no limit of one process can see is seen by the watch, which ends the kernel."""
    result = run(textwrap.dedent(hungry), "1", limits=Limits(memory_mib=500, cell_timeout_s=30))
    assert result.status is JobStatus.STOPPED
    assert result.cells[0].stop is not None
    assert result.cells[0].stop.limit == "memory_mib"
    assert result.cells[0].stop.reached > 500
    assert errors(result) == [["MemoryLimit"], ["CellNotRun"]]


@pytest.mark.parametrize(
    "flood",
    [
        "print('x' * 50_000_000)",
        "while True: print('line')",
        "import os\nwhile True: os.write(2, b'x' * 65536)",
        "while True: display('shown ' * 300)",
        "from IPython.display import HTML\nHTML('x' * 20_000_000)",
        "import subprocess; subprocess.run(['yes'])",
        "raise ValueError('x' * 20_000_000)",
    ],
    ids=["one line", "lines", "raw", "displays", "one display", "a child", "an error"],
)
def test_output_has_an_end(run: Run, flood: str) -> None:
    """Output beyond the limit is dropped and its cell stopped; the notebook goes on, with a little left to say."""
    before = psutil.Process().memory_info().rss
    result = run(flood, "print('next')", limits=Limits(output_mib=1, cell_timeout_s=30))
    assert psutil.Process().memory_info().rss - before < 60 << 20
    assert result.status is JobStatus.STOPPED
    assert result.cells[0].stop is not None
    assert result.cells[0].stop.limit == "output_mib"
    assert len(str(result.cells[0].outputs)) < 3 << 20
    assert errors(result)[0][-1] == "OutputLimit"
    assert text(result, 1) == "next"


@pytest.mark.slow
def test_a_million_lines_are_kept(run: Run) -> None:
    """Many lines within the limit all arrive, in order."""
    result = run("for i in range(1_000_000): print(i)", limits=Limits(output_mib=20, cell_timeout_s=120))
    assert result.status is JobStatus.COMPLETED
    lines = text(result, 0).split()
    assert len(lines) == 1_000_000
    assert lines[-1] == "999999"


def test_a_file_has_a_largest_size(run: Run) -> None:
    """A file larger than the disk limit is an error where it is written."""
    result = run("open('big', 'wb').write(b'x' * (9 << 20))", "1", limits=Limits(disk_mib=8))
    assert errors(result) == [["OSError"], []]
    assert "File too large" in text(result, 0)


def test_disk_is_counted_over_all_files(run: Run, level: str) -> None:
    """Many files, beside the notebook or temporary, together pass the limit: an error where the disk has a size."""
    deed = """\
    import tempfile, time, itertools
    for i in itertools.count():
        open(f'f{i}', 'wb').write(b'x' * (1 << 20))
        tempfile.NamedTemporaryFile(delete=False).write(b'x' * (1 << 20))
        time.sleep(0.02)"""
    result = run(textwrap.dedent(deed), "1", limits=Limits(disk_mib=8, cell_timeout_s=30))
    assert errors(result) == ([["OSError"], []] if level == "full" else [["DiskLimit"], ["CellNotRun"]])


def test_processes_are_counted(run: Run) -> None:
    """A fork bomb (here one of 40) is ended with all its children."""
    deed = """\
    import os, time
    for _ in range(40):
        if os.fork() == 0:
            time.sleep(1000)
    time.sleep(1000)"""
    result = run(textwrap.dedent(deed), "1", limits=Limits(processes=8, cell_timeout_s=30))
    assert errors(result) == [["ProcessLimit"], ["CellNotRun"]]


def test_nothing_is_left_running(run: Run, runner: Runner) -> None:
    """Children that left the session, orphans, and threads end with the job."""
    deed = """\
    import os, subprocess, threading, time
    read, write = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write, b'%d ' % os.getpid())
            while True: time.sleep(1000)
        os._exit(0)
    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
    threading.Thread(target=time.sleep, args=(1000,)).start()
    print(os.getpid(), child.pid, os.read(read, 100).decode())"""
    result = run(textwrap.dedent(deed))
    assert result.status is JobStatus.COMPLETED
    pids = [int(word) for word in text(result, 0).split()]
    assert len(pids) == 3
    assert runner._zygote is not None
    assert runner._zygote.tree.look() == set()
    assert result.seconds < 10


@pytest.mark.parametrize(
    "deed",
    [
        "import sys; sys.stdout.close()",
        "import sys; sys.stdout = None",
        "import sys; sys.stdout = sys.stderr = object()",
        "import os; os.close(1); os.close(2)",
        "import os; os.chdir('/')",
        "import os, shutil; shutil.rmtree(os.getcwd())",
        "import sys; sys.modules.clear()",
        "import builtins; builtins.__dict__.clear()",
        "import gc; gc.disable(); import threading; threading.Thread(target=input).start()",
        "get_ipython().display_pub.publish = None; get_ipython().displayhook.session = None",
        "import signal; [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]",
        "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))",
        "import os\nos.mkdir('d')\nopen('d/f', 'w')\nos.chmod('d', 0)",
        "import os; os.symlink('/etc', 'link'); os.mkfifo('fifo')",
        "import asyncio; asyncio.get_event_loop().stop()",
        "import asyncio; asyncio.get_event_loop().close()",
    ],
)
def test_odd_deeds_end_in_a_result(run: Run, deed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook that damages its own process still ends in a Result, and leaves no folder."""
    made: list[str] = []
    make = tempfile.mkdtemp

    def remembered(*args: Any, **kwargs: Any) -> str:
        made.append(make(*args, **kwargs))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", remembered)
    result = run(deed, "print('next')", "1 + 1")
    assert result.status in (JobStatus.COMPLETED, JobStatus.DIED), result.sentence
    assert len(result.cells) == 3
    folders = [path for path in made if "torchdojo-job-" in path]
    assert folders
    assert not any(os.path.exists(path) for path in folders)
    assert run("1 + 1").status is JobStatus.COMPLETED


def test_forged_messages_are_no_harm(run: Run) -> None:
    """Whatever is written to the channel of messages is at worst the notebook's own output."""
    deed = """\
    import os, socket, struct
    for number in range(3, 400):
        try:
            end = socket.socket(fileno=number)
            kind = end.type
        except OSError:
            continue
        if kind != socket.SOCK_SEQPACKET:
            end.detach()
            continue
        head = struct.pack('!QB', 7 << 40, 1)
        for body in (b'', b'{', b'[1]', b'null', b'{"kind": 3}', b'{"kind": "error", "content": {"traceback": 3}}',
                     b'{"kind": "display_data", "content": {"data": {"text/plain": 3}, "metadata": 3}}',
                     b'{"kind": "display_data", "content": {"data": {"a": ["\\\\ud800"]}, "flushed": [3]}}',
                     b'[' * 50000, b'{"kind":"comm_open","content":{"comm_id":[],"data":{"state":3}}}'):
            end.send(head + body)
        end.send(b'short')
        end.send(struct.pack('!QB', 8 << 40, 0) + b'never ended')
        end.detach()
    print('sent')"""
    result = run(textwrap.dedent(deed), "1 + 1")
    assert result.status is JobStatus.COMPLETED
    assert "sent" in text(result, 0)
    assert text(result, 1) == "2"


def test_a_job_that_kills_the_zygote_is_tried_again_then_blamed() -> None:
    """A zygote that dies is replaced and its job tried once more; the second time it is the job's fault."""
    runner = Runner()
    try:
        assert runner.execute(Job("first", notebook("1"))).status is JobStatus.COMPLETED
        deed = """\
        import os, subprocess, time
        child = subprocess.Popen(['sleep', '1000'], start_new_session=True)
        time.sleep(0.5)
        os.kill(os.getppid(), 9)
        time.sleep(100)"""
        before = set(psutil.pids())
        result = runner.execute(Job("killer", notebook(textwrap.dedent(deed))))
        left = [p for p in psutil.process_iter(["pid", "cmdline"]) if p.info["cmdline"] == ["sleep", "1000"]]
        assert [process for process in left if process.pid not in before] == []
        assert result.status is JobStatus.DIED
        assert "os.kill" in result.sentence
        assert runner.execute(Job("next", notebook("1"))).status is JobStatus.COMPLETED
    finally:
        runner.close()


def test_a_zygote_killed_by_others_costs_its_job_nothing() -> None:
    """A job whose zygote is killed from outside runs again in another, and nobody sees it."""
    runner = Runner()
    try:
        runner.execute(Job("first", notebook("1")))
        zygote = runner._zygote
        assert zygote is not None
        os.kill(zygote.pid, signal.SIGKILL)
        assert runner.execute(Job("second", notebook("print('ran')"))).status is JobStatus.COMPLETED
    finally:
        runner.close()


def test_a_killed_runner_leaves_nothing() -> None:
    """When a runner's process is killed, its zygote and kernel end by themselves."""
    program = """
import os, sys
sys.path.insert(0, sys.argv[1])
from conftest import notebook
from torchdojo.kernels.execute import execute
from torchdojo.kernels.job import Job
execute(Job("j", notebook("import os, time; open('/proc/%d/fd/1' % RUNNER, 'w').write('%d %d\\\\n' % (os.getpid(), "
    "os.getppid()))\\ntime.sleep(1000)".replace("RUNNER", str(os.getpid())))))
"""
    here = os.path.dirname(__file__)
    process = subprocess.Popen([sys.executable, "-c", program, here], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    process.kill()
    process.wait()
    process.stdout.close()
    assert len(pids) == 2
    assert all(gone(pid, within_s=10) for pid in pids)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no notebook"),
        (b"\x89PNG\r\n", "no notebook"),
        (b'{"cells": [', "no notebook"),
        (b"[" * 100_000, "no notebook"),
        (b"[]", "no list of cells"),
        (b'{"nbformat": 3, "worksheets": []}', "no list of cells"),
        (b'{"cells": [3]}', "Cell 1"),
        (b'{"cells": [{"cell_type": "code", "source": 3}]}', "Cell 1"),
        (b'{"cells": [], "metadata": {"kernelspec": {"language": "R"}}}', "written in R"),
    ],
)
def test_unreadable_notebooks_say_why(content: bytes, words: str) -> None:
    """What is no Python notebook is unreadable, with a reason; no kernel is started for it."""
    runner = Runner()
    result = runner.execute(Job("j", content))
    assert result.status is JobStatus.UNREADABLE
    assert words in result.sentence
    assert runner._zygote is None

"""Runners side by side: every job comes back once, and stopping stops everything."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import notebook, text

from torchdojo.kernels.execute import execute
from torchdojo.kernels.job import Job, JobStatus
from torchdojo.kernels.pool import Pool, auto_workers


def test_jobs_run_side_by_side() -> None:
    """Two workers take turns at the jobs; each job's result is its own."""
    with Pool(2) as pool:
        jobs = [Job(f"{n}", notebook(f"{n} * {n}")) for n in range(6)]
        results = [future.result(60) for future in [pool.submit(execute, job) for job in jobs]]
    assert [text(result, 0) for result in results] == ["0", "1", "4", "9", "16", "25"]
    assert [result.key for result in results] == [job.key for job in jobs]


def test_a_killed_stem_costs_nothing() -> None:
    """When the process that all zygotes come from is killed, the jobs at work and to come run in others."""
    with Pool(1) as pool:
        assert pool.submit(execute, Job("a", notebook("1"))).result(60).status is JobStatus.COMPLETED
        slow = pool.submit(execute, Job("b", notebook("import time; time.sleep(1.5); print('done')")))
        time.sleep(0.5)
        stem = pool._stem._zygote
        assert stem is not None
        psutil.Process(stem.pid).kill()
        assert text(slow.result(60), 0) == "done"
        assert pool.submit(execute, Job("c", notebook("1"))).result(60).status is JobStatus.COMPLETED


def test_stopping_ends_all_trees_at_once() -> None:
    """Shutdown with cancel_futures ends the jobs at work within two seconds; they come back as not graded."""
    pool = Pool(1)
    pool.submit(execute, Job("warm", notebook("1"))).result(60)
    busy = pool.submit(execute, Job("busy", notebook("import time\nwhile True: time.sleep(1)")))
    waiting = pool.submit(execute, Job("waiting", notebook("1")))
    time.sleep(0.5)
    assert pool._stem._zygote is not None
    stem = psutil.Process(pool._stem._zygote.pid)
    below = [stem, *stem.children(recursive=True)]
    start = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 2
    assert busy.result(0).status is JobStatus.OURS
    assert "stopped" in busy.result(0).sentence
    assert waiting.cancelled()
    assert len(below) >= 3
    assert not any(process.is_running() for process in below)


def test_stopping_does_not_wait_for_imports() -> None:
    """A pool that is stopped while it still imports ends at once."""
    pool = Pool(1, preload=["torch", "sklearn"])
    future = pool.submit(execute, Job("early", notebook("1")))
    time.sleep(0.3)
    start = time.monotonic()
    pool.shutdown(cancel_futures=True)
    assert time.monotonic() - start < 2
    assert future.result(0).status is JobStatus.OURS


def test_ctrl_c_ends_a_batch() -> None:
    """SIGINT in the middle of a `with Pool` block ends the program, and every process with it, within two seconds."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from conftest import notebook
from torchdojo.kernels.execute import execute
from torchdojo.kernels.job import Job
from torchdojo.kernels.pool import Pool
with Pool(2) as pool:
    pool.submit(execute, Job("a", notebook("1"))).result()
    endless = [pool.submit(execute, Job("e", notebook("while True: pass"))) for _ in range(4)]
    print("busy", flush=True)
    endless[0].result()
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"busy\n"
    time.sleep(1)
    below = psutil.Process(process.pid).children(recursive=True)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=10)
    assert time.monotonic() - start < 3  # two, and the interpreter's own end
    assert words.strip().endswith(b"KeyboardInterrupt")
    assert len(below) >= 4
    assert not any(other.is_running() for other in below)


@pytest.mark.parametrize(("memory_mib", "least"), [(0, 1), (1, 1), (1 << 40, 1)])
def test_workers_are_sized_from_the_machine(memory_mib: int, least: int) -> None:
    """There is at least one worker, and none beyond what cores and memory bear."""
    assert least <= auto_workers(memory_mib) <= psutil.cpu_count()
    assert auto_workers(1 << 40) == 1

"""The calls that Python lacks: a fork that is as good as Python's own, and memory gathered into huge pages."""

from __future__ import annotations

import subprocess
import sys

import pytest


def _run(script: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_fork_into_is_a_fork() -> None:
    """Python's handlers run on both sides, the child's thread has its own id, and a fork of it is a fork again."""
    seen = _run("""
import os, signal, threading
from torchdojo.kernels import linux
def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole, whoever else writes
os.register_at_fork(before=lambda: say("before"), after_in_parent=lambda: say("parent"),
                    after_in_child=lambda: say("child"))
pid = linux.fork_into(0)
if pid == 0:
    signal.signal(signal.SIGUSR1, lambda *_: say("signal"))
    signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
    signal.raise_signal(signal.SIGUSR1)
    say(threading.get_native_id() == os.getpid(), threading.current_thread() is threading.main_thread())
    thread = threading.Thread(target=say, args=("thread",))
    thread.start()
    thread.join()
    inner = os.fork()
    if inner == 0:
        os._exit(4)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(inner, 0)[1]))
say(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
""")
    for word in ("True", "thread", "4"):
        assert word in seen
    assert "False" not in seen
    assert seen.count("signal") == 2
    assert seen.count("before") == 2
    assert seen.count("child") == 2  # the second fork's prints too


def test_gathered_memory_holds_what_it_held() -> None:
    """A process whose memory lies in huge pages, and its forks, read and write as before."""
    seen = _run("""
import os
from torchdojo.kernels import linux
blocks = [bytearray([number]) * 100_000 for number in range(200)]
objects = [str(number) for number in range(200_000)]
gathered = linux.gather_memory()
pid = os.fork()
if pid == 0:
    good = all(set(block) == {number} for number, block in enumerate(blocks))
    good = good and objects == [str(number) for number in range(200_000)]
    blocks[0][0] = 7
    os._exit(0 if good else 1)
status = os.waitpid(pid, 0)[1]
print(gathered, status, blocks[0][0])
""")
    if seen[0] == "0":
        pytest.skip("this kernel cannot gather memory into huge pages (Linux 6.1)")
    assert seen[1:] == ["0", "0"]

"""What a process does between its fork from a zygote and its first cell: become one job's kernel and nothing else."""

from __future__ import annotations

import os
import random
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from typing import NoReturn

from torchdojo.kernels import tree, wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.shell import ForkedKernel

_STREAMS_FROM = 200  # where the kernel keeps its own copies of 1 and 2, out of the way of a cell that closes descriptors
_MIB = 1024 * 1024


def become_kernel(kernel: ForkedKernel, birth: Birth, descriptors: Sequence[int], parent: int) -> NoReturn:
    """Run one job's cells in this process and never return.

    `descriptors` are the channel for messages, the channel for commands, and the pipes for text on 1 and 2. `parent` is
    the zygote's process id. A failure before the first cell goes to the runner as a message of kind "failed".
    """
    messages, commands = (socket.socket(fileno=number) for number in descriptors[:2])
    try:
        tree.die_with_parent()
        if os.getppid() != parent:
            os._exit(1)
        os.setsid()
        _own_streams(descriptors[2], descriptors[3])
        if birth.sandbox is not None:
            from torchdojo.kernels import sandbox

            sandbox.enter(birth.sandbox)
        _own_surroundings(birth, kernel)
        _own_limits(birth)
        _start_threads(birth.threads)
        seed_everything(birth.seed)
    except BaseException as error:
        sentence = f"{type(error).__name__}: {error}"
        wire.send(messages, wire.encode({"kind": "failed", "content": {"sentence": sentence}, "flushed": []}))
        os._exit(1)
    kernel.outlet.connect(messages)
    kernel.outlet.publish("ready", {})
    kernel.serve(commands)


def _own_streams(out: int, err: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    for number, pipe, stream in ((1, out, sys.stdout), (2, err, sys.stderr)):
        os.dup2(pipe, number)
        kept = _STREAMS_FROM + number
        os.dup2(pipe, kept, inheritable=False)
        os.close(pipe)
        stream.move_to(kept, nowhere)
    os.set_inheritable(nowhere, True)


def _own_surroundings(birth: Birth, kernel: ForkedKernel) -> None:
    os.environ.pop("PYTHONSAFEPATH", None)
    os.environ.update(birth.environment)
    os.environ["TMPDIR"] = birth.temporary
    os.environ["PWD"] = birth.folder
    if birth.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.chdir(birth.folder)
    os.umask(0o022)
    tempfile.tempdir = None
    kernel.shell.starting_dir = birth.folder
    kernel.shell.history_manager.reset(new_session=False)  # it remembers the folder, for `%cd -`


def _own_limits(birth: Birth) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    if birth.file_mib > 0:
        _limit(resource.RLIMIT_FSIZE, birth.file_mib * _MIB)  # Python ignores SIGXFSZ, so a write fails with EFBIG
    if birth.memory_mib > 0 and birth.device == "cpu":
        # beyond what the libraries hold already: an allocation that is too large raises, and the cell says where
        _limit(resource.RLIMIT_DATA, _data_bytes() + birth.memory_mib * _MIB)
    if birth.processes > 0:
        # counted over all processes and threads of this user, so a wide margin: the runner counts the job's own
        _limit(resource.RLIMIT_NPROC, _tasks_of_this_user() + birth.processes * 4 + 256)


def _limit(which: int, value: int) -> None:
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _data_bytes() -> int:
    with open("/proc/self/status", "rb") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(b"VmData:"))


def _tasks_of_this_user() -> int:
    count = 0
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                if os.stat(f"/proc/{name}").st_uid == os.getuid():
                    count += os.stat(f"/proc/{name}/task").st_nlink - 2
            except OSError:
                continue
    return count


def _start_threads(threads: int) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)  # for libraries imported from here on
    if threads > 1 and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def seed_everything(seed: int) -> None:
    """Start Python's, NumPy's and torch's random numbers from `seed`; CUDA's too, as soon as something uses it."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)


def ignore_signals_of_a_terminal() -> None:
    """Ctrl-C and a closed terminal are the runner's to handle."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

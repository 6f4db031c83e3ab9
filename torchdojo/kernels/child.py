"""What a process does between its fork from a zygote and its first cell: become one job's kernel and nothing else."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from torchdojo.kernels import sandbox, tree, wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.outlet import KernelStream
from torchdojo.kernels.preload import THREAD_VARIABLES
from torchdojo.kernels.shell import ForkedKernel

_STREAMS_FROM = 200  # where the kernel keeps its own copies of 1 and 2: a cell that closes those still prints


def become_kernel(kernel: ForkedKernel, birth: Birth, descriptors: Sequence[int], parent: int) -> NoReturn:
    """Run one job's cells in this process and never return. The process is a child of `sandbox.fork`.

    `descriptors` are the channel for messages, the channel for commands, and the pipes for text on 1 and 2. `parent` is
    the zygote's process id. A failure before the first cell goes to the runner as a message of kind "failed".
    """
    messages, commands = (socket.socket(fileno=number) for number in descriptors[:2])
    try:
        tree.die_with_parent()
        if os.getppid() not in (parent, 0):  # 0 is a parent outside this process's namespace
            os._exit(1)
        streams = _own_streams(descriptors[2], descriptors[3])
        sandbox.enter(_spec(birth), keep=(0, 1, 2, messages.fileno(), commands.fileno(), *streams))
        kernel.shell.init_environment()  # the sandbox has made a new one
        kernel.shell.starting_dir = os.getcwd()
        kernel.shell.history_manager.reset(new_session=False)  # it remembers the folder, for `%cd -`
        if "torch" in sys.modules:
            _set_up_torch(sys.modules["torch"], birth)
        seed_everything(birth.seed, birth.device)
    except BaseException as error:
        sentence = f"{type(error).__name__}: {error}"
        wire.send(messages, wire.encode({"kind": "failed", "content": {"sentence": sentence}, "flushed": []}))
        os._exit(1)
    kernel.outlet.connect(messages)
    kernel.outlet.publish("ready", {})
    kernel.serve(commands)


def _spec(birth: Birth) -> sandbox.SandboxSpec:
    spec = sandbox.SandboxSpec(**birth.sandbox)
    # for libraries that are imported from here on; torch is told directly
    environment = dict(spec.environment) | dict.fromkeys(THREAD_VARIABLES, str(birth.threads))
    if birth.device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    return replace(spec, environment=tuple(environment.items()))


def _own_streams(out: int, err: int) -> list[int]:
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    kept = []
    for number, pipe, stream in ((1, out, sys.stdout), (2, err, sys.stderr)):
        os.dup2(pipe, number)
        kept.append(os.dup2(pipe, _STREAMS_FROM + number, inheritable=False))
        os.close(pipe)
        assert isinstance(stream, KernelStream)
        stream.move_to(kept[-1], nowhere)
    return [nowhere, *kept]


def _set_up_torch(torch: Any, birth: Birth) -> None:
    if birth.threads > 1:
        torch.set_num_threads(birth.threads)
    if birth.device == "cuda" and birth.gpu_share < 1:
        torch.cuda.set_per_process_memory_fraction(birth.gpu_share)  # the first touch of the GPU: in the child


def seed_everything(seed: int, device: str) -> None:
    """Start Python's, NumPy's and torch's random numbers from `seed`; those of a GPU too, as soon as one is used."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        if device == "cpu":
            torch.default_generator.manual_seed(seed)  # manual_seed would look for each kind of GPU: 6 ms
        else:
            torch.manual_seed(seed)


def ignore_signals_of_a_terminal() -> None:
    """Ctrl-C and a closed terminal are the runner's to handle."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)

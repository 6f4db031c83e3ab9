"""What one job costs beyond its cells' own work: CPU by part, wall time, memory of one more kernel.

    python bench/kernels_overhead.py [--jobs 20] [--sandbox none|partial|full] [--plain]

`--plain` imports no torch ahead. CPU is the steadier figure on a busy machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial

from torchdojo.kernels import tree
from torchdojo.kernels.execute import Runner, Session, run_in_kernel
from torchdojo.kernels.job import CellResult, Job, Limits, Result
from torchdojo.kernels.warm import Zygote

TORCH = ("torch", "torchvision", "sklearn.linear_model", "matplotlib.pyplot", "numpy", "pytest")
FIT = """\
import torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(model.parameters())
for _ in range(100):
    optimizer.zero_grad()
    model(torch.ones(8, 2)).sum().backward()
    optimizer.step()"""


def notebook(*sources: str) -> bytes:
    """An .ipynb of code cells."""
    cells = [
        {"cell_type": "code", "source": s, "metadata": {}, "outputs": [], "execution_count": None} for s in sources
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


def cpu_of(pid: int) -> float:
    """CPU seconds that a process has used, its ended children left out."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(runner: Runner, jobs: int, job: Callable[[int], Job]) -> tuple[dict[str, float], list[Result]]:
    """Seconds a job: of the kernel, of the zygote, of the runner, of the wall clock."""
    assert runner._zygote is not None
    zygote, mine, start = cpu_of(runner._zygote.pid), time.process_time(), time.monotonic()
    results = [runner.execute(job(number)) for number in range(jobs)]
    parts = {
        "kernel": sum(result.cpu_s for result in results) / jobs,
        "zygote": (cpu_of(runner._zygote.pid) - zygote) / jobs,
        "runner": (time.process_time() - mine) / jobs,
        "wall": (time.monotonic() - start) / jobs,
    }
    assert all(result.status == "completed" for result in results), results[0].sentence
    return parts, results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--sandbox", default="none")
    parser.add_argument("--no-gather", action="store_true", help="leave the zygote's memory in small pages")
    parser.add_argument("--plain", action="store_true")
    arguments = parser.parse_args()
    memory: list[float] = []

    def remember_memory(session: Session, cell: object) -> Callable[..., CellResult]:
        def run(session: Session, cell: object) -> CellResult:
            result = run_in_kernel(session, cell)  # type: ignore[arg-type]
            memory.append(tree.unique_mib(session.kernel.pid))
            return result

        return run

    watched = Runner(remember_memory, partial(Zygote.start, gather=True))  # type: ignore[arg-type]
    runner = Runner(new_zygote=partial(Zygote.start, gather=not arguments.no_gather))
    preload = () if arguments.plain else TORCH

    def job(*sources: str) -> Callable[[int], Job]:
        content = notebook(*sources)
        limits = Limits(cell_timeout_s=100)
        return lambda number: Job(f"{number}", content, preload=preload, sandbox=arguments.sandbox, limits=limits)

    start = time.monotonic()
    runner.execute(job("1")(0))
    assert runner._zygote is not None
    print(f"zygote: ready after {time.monotonic() - start:.1f} s, {cpu_of(runner._zygote.pid):.1f} s of CPU")
    print(f"{'ms a job':34}" + "".join(f"{name:>9}" for name in ("kernel", "zygote", "runner", "CPU", "wall", "MiB")))
    cases = {
        "no cell": (),
        "one cell: pass": ("pass",),
        "ten cells: pass": ("pass",) * 10,
        "one cell: a value": ("1 + 1",),
        "one cell: an error": ("1 / 0",),
    }
    if not arguments.plain:
        cases |= {"one cell: 100 steps of Adam": (FIT,)}
        cases |= {"one cell: a figure": ("import matplotlib.pyplot as plt\nplt.plot([1, 2]);",)}
    for name, sources in cases.items():
        parts, _ = measure(runner, arguments.jobs, job(*sources))
        cpu = parts["kernel"] + parts["zygote"] + parts["runner"]
        memory.clear()
        watched.execute(job(*sources)(0))  # apart, for to ask for a process's memory costs CPU
        unique = f"{statistics.median(memory):9.0f}" if memory else ""
        row = (parts["kernel"], parts["zygote"], parts["runner"], cpu, parts["wall"])
        print(f"{name:34}" + "".join(f"{value * 1000:9.1f}" for value in row) + unique)
    runner.close()
    watched.close()


if __name__ == "__main__":
    main()

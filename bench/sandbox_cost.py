"""What the sandbox costs one job: a warm parent with torch forks jobs that do nothing, shut in and not, in turn.

    python bench/sandbox_cost.py [--jobs 30] [--huge-pages] [--level full] [--json]

Wall: from the fork to the last process of the job being gone. CPU: of the parent and of all processes of the job. What
Linux does later on its own threads (a network namespace is taken down there) is in neither.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import tempfile
import time

from torchdojo.kernels import preload
from torchdojo.kernels.sandbox import SandboxSpec, enter, fork, prepare

MODULES = ("torch", "torchvision", "sklearn", "matplotlib.pyplot")


def cpu_s() -> float:
    """CPU seconds of this process and of all that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def one_job(spec: SandboxSpec | None) -> tuple[float, float, float]:
    """Milliseconds of wall until the job could start, of wall until it is gone, and of CPU."""
    ready, write = os.pipe()
    cpu, wall = cpu_s(), time.perf_counter()
    pid = os.fork() if spec is None else fork(spec)
    if pid == 0:
        if spec is not None:
            enter(spec, keep=[2, write])
        os.write(write, b"x")
        os._exit(0)
    os.close(write)
    if os.read(ready, 1) != b"x":
        raise SystemExit("the sandbox could not be built; run torchdojo doctor")
    started = time.perf_counter()
    os.waitpid(pid, 0)
    os.close(ready)
    return (started - wall) * 1e3, (time.perf_counter() - wall) * 1e3, (cpu_s() - cpu) * 1e3


def main() -> None:
    """Measure, and print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--jobs", type=int, default=30)
    options.add_argument("--huge-pages", action="store_true", help="gather the parent's memory into huge pages first")
    options.add_argument("--no-torch", action="store_true", help="a small parent: what the sandbox costs by itself")
    options.add_argument("--json", action="store_true")
    arguments = options.parse_args()
    preload.one_thread()
    preload.preload(() if arguments.no_torch else MODULES)
    gc.collect()
    gc.freeze()
    if arguments.huge_pages:
        from torchdojo.kernels.linux import gather_memory

        began = time.perf_counter()
        print(f"{gather_memory()} MiB in huge pages after {time.perf_counter() - began:.1f} s")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        kinds = {
            "plain fork": None,
            "partial": SandboxSpec(folder, level="partial"),
            "full": SandboxSpec(folder, level="full"),
        }
        for spec in kinds.values():
            if spec is not None:
                prepare(spec)
        rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in kinds}
        for _ in range(arguments.jobs):
            for name, spec in kinds.items():
                rows[name].append(one_job(spec))
    columns = {name: list(zip(*found, strict=True)) for name, found in rows.items()}
    figures = {
        name: {"median": [statistics.median(one) for one in found], "quietest": [_low(one) for one in found]}
        for name, found in columns.items()
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{'ms':23} {'to start':>9} {'to end':>9} {'CPU':>7} {'over plain: wall':>18} {'CPU':>6}")
    for which in ("median", "quietest"):
        for name, figure in figures.items():
            start, end, cpu = figure[which]
            plain = figures["plain fork"][which]
            label = f"{name}, {which}"
            print(f"{label:23} {start:9.1f} {end:9.1f} {cpu:7.1f} {end - plain[1]:18.1f} {cpu - plain[2]:6.1f}")


def _low(values: tuple[float, ...]) -> float:
    return sorted(values)[len(values) // 10]  # one in ten was faster: what it costs when others leave the machine alone


if __name__ == "__main__":
    main()

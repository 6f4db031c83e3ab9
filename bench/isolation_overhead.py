"""What isolation costs: one question to the student's process, and a submission judged by a checker in a sandbox."""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from torchdojo.checks import NamespaceStudent
from torchdojo.datasets import mnist_root
from torchdojo.grade_cell import check_points
from torchdojo.isolation.checker import Line, _no_other
from torchdojo.isolation.judge import MODULES, runner_of
from torchdojo.isolation.proxy import RemoteStudent
from torchdojo.isolation.sending import pickled
from torchdojo.isolation.server import host
from torchdojo.isolation.values import decode, encode
from torchdojo.kernels.execute import CellRunner, Runner, Session
from torchdojo.kernels.job import Job, Result
from torchdojo.kernels.preload import modules_in
from torchdojo.kernels.warm import Zygote
from torchdojo.notebook import is_author_cell, read, read_node
from torchdojo.rehearsal.pupils import Pupil, draw_class

ROOT = Path(__file__).parent.parent
EXAMPLES = """
examples:
  python bench/isolation_overhead.py                       both tables, about two minutes
  python bench/isolation_overhead.py --submissions 0       only what a question costs
  python bench/isolation_overhead.py --assignment 01-derivatives --submissions 12 --rounds 5
  python bench/isolation_overhead.py --json

CPU is the steadier figure on a busy machine; each way is measured in turn on each submission, so that what the machine
does besides meets all of them.
"""
BUDGET_MS = {"a small tensor": 0.5, "10 MB each way": 15.0}
BUDGET_CPU_S = 0.15
WAYS = {
    "in the kernel, no sandbox": (False, "none"),
    "in the kernel, full": (False, "full"),
    "isolated, no sandbox": (True, "none"),
    "isolated, full": (True, "full"),
}


# ----------------------------------------------------------------------------------------------------- a question


@contextmanager
def student(names: dict[str, Any]) -> Iterator[RemoteStudent]:
    """A student in another process, as a checker has it."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        with suppress(BaseException):
            host(theirs, NamespaceStudent(names))
        os._exit(0)
    theirs.close()
    line = Line(ours, _no_other)
    remote = RemoteStudent(line.connect, budget_s=3600)
    try:
        yield remote
    finally:
        remote.close()
        line.close()
        os.waitpid(pid, 0)


def times_ms(deed: Callable[[], object], count: int) -> list[float]:
    """Wall time of each call but the first few."""
    found = []
    for number in range(count + 5):
        start = time.perf_counter()
        deed()
        if number >= 5:
            found.append((time.perf_counter() - start) * 1e3)
    return found


def questions(count: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of whole calls, and of the work on either side that is not waiting."""
    small, large = torch.arange(6.0).reshape(2, 3), torch.rand(2_500_000)
    found: dict[str, dict[str, list[float]]] = {}
    with student({"same": lambda x: x, "plus": lambda x: x + 1}) as remote:
        for name, tensor, few in (("a small tensor", small, count), ("10 MB each way", large, max(count // 20, 10))):
            held, question = remote.plus, ("call", (remote.plus, (tensor,), {}), None)
            answer = encode(["ok", tensor], None)
            found[name] = {
                "one call": times_ms(partial(held, tensor), few),
                "name and call": times_ms(lambda tensor=tensor: remote.plus(tensor), few),  # type: ignore[misc]
                "  pickling the question": times_ms(partial(pickled, question), few),
                "  encoding the answer": times_ms(lambda tensor=tensor: encode(["ok", tensor], None), few),  # type: ignore[misc]
                "  decoding the answer": times_ms(partial(decode, answer, None), few),
            }
    return found


# ---------------------------------------------------------------------------------------------------- submissions


def cpu_s(pid: int) -> float:
    """CPU seconds of a process itself, to the nanosecond; the children it had are left out."""
    total = 0
    with suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return total / 1e9


def handed_in(name: str, pupil: Pupil) -> dict[str, Any]:
    """A notebook as that pupil would hand it in."""
    path = ROOT / "source" / name / f"{name}.ipynb"
    node = json.loads(path.read_text(encoding="utf-8"))
    exercises = {each.name: each for each in read(path).exercises}
    for answer in pupil.answers:
        cells = exercises[answer.exercise].solution_cells
        for number, cell in enumerate(cells):
            node["cells"][cell.index]["source"] = answer.sources[number] if answer.sources else "..."
    return dict(node)


def jobs(name: str, submissions: int) -> list[dict[str, Any]]:
    """What `Job` is given for each submission of a pretend class, but for the way."""
    path = ROOT / "source" / name / f"{name}.ipynb"
    authors = [
        at for at, cell in enumerate(read_node(path).cells) if cell.cell_type == "code" and is_author_cell(cell.source)
    ]
    data = str(mnist_root(ROOT / "data"))
    found = []
    for pupil in draw_class(read(path), submissions, seed=1):
        node = handed_in(name, pupil)
        for at in authors:
            node["cells"][at]["source"] = ""
        sources = {at: "".join(cell["source"]) for at, cell in enumerate(node["cells"]) if cell["cell_type"] == "code"}
        points = {at: check_points(source) for at, source in sources.items()}
        found.append(
            {
                "key": pupil.name,
                "notebook": json.dumps(node).encode(),
                "isolated": tuple((at, worth) for at, worth in points.items() if worth is not None),
                "preload": (*modules_in(list(sources.values())), *MODULES),
                "read_only": (data,),
                "environment": (("TORCHDOJO_DATA", data),),
            }
        )
    return found


class Measured:
    """A runner, and where the CPU of its last job went."""

    def __init__(self) -> None:
        self._kernels: dict[str, float] = {}
        self._runner = Runner(self._runner_of, partial(Zygote.start, gather=True))

    def _runner_of(self, session: Session, cell: Any) -> CellRunner:
        inner = runner_of(session, cell)

        def run(session: Session, cell: Any) -> Any:
            try:
                return inner(session, cell)
            finally:  # of the last cell this stands
                self._kernels["kernel"] = cpu_s(session.kernel.pid)
                if session._beside is not None:
                    self._kernels["checker"] = cpu_s(session._beside.kernel.pid)

        return run

    def execute(self, job: dict[str, Any], isolated: bool, sandbox: str) -> tuple[dict[str, float], Result]:
        """CPU seconds by part, and what came of it."""
        self._kernels = {"kernel": 0.0, "checker": 0.0}
        zygote, mine = self._of_zygote(), time.process_time()
        start = time.perf_counter()
        result = self._runner.execute(Job(**{**job, "isolated": job["isolated"] if isolated else ()}, sandbox=sandbox))
        if result.status != "completed":
            raise SystemExit(f"{job['key']}: {result.status}: {result.sentence}")
        parts = {
            **self._kernels,
            # forks that answered the checker, and what a process does before its first cell's end and after its last
            "forks": result.cpu_s - sum(self._kernels.values()),
            "zygote": self._of_zygote() - zygote,
            "runner": time.process_time() - mine,
        }
        return {**parts, "all": sum(parts.values()), "wall": time.perf_counter() - start}, result

    def _of_zygote(self) -> float:
        zygote = self._runner._zygote
        return cpu_s(zygote.pid) if zygote is not None else 0.0

    def close(self) -> None:
        self._runner.close()


def submissions(name: str, count: int, rounds: int) -> dict[str, list[dict[str, float]]]:
    """For each way the parts of each submission: of its rounds the median."""
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    runner, handed = Measured(), jobs(name, count)
    try:
        runner.execute(handed[0], True, "full")  # starts the warm parent
        for job in handed:
            tries: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way, (isolated, sandbox) in WAYS.items():
                    tries[way].append(runner.execute(job, isolated, sandbox)[0])
            for way, rows in tries.items():
                found[way].append({part: statistics.median(row[part] for row in rows) for part in rows[0]})
    finally:
        runner.close()
    return found


# ---------------------------------------------------------------------------------------------------------- tables


def of(values: Sequence[float]) -> tuple[float, float, float]:
    """10th percentile, which is what it costs when others leave the machine alone; median, 90th percentile."""
    in_order = sorted(values)
    return in_order[len(values) // 10], statistics.median(values), in_order[min(len(values) * 9 // 10, len(values) - 1)]


def show_questions(found: dict[str, dict[str, list[float]]]) -> None:
    """The first table."""
    print(f"{'ms':44} {'p10':>8} {'median':>8} {'p90':>8} {'budget':>8}")
    for name, rows in found.items():
        for row, values in rows.items():
            budget = f"{BUDGET_MS[name]:8.1f}" if row == "one call" else ""
            print(f"{name + ', ' + row.strip() if not row.startswith(' ') else '   ' + row:44}", end="")
            print(" {:8.3f} {:8.3f} {:8.3f} {}".format(*of(values), budget))


def show_submissions(name: str, found: dict[str, list[dict[str, float]]]) -> None:
    """The second table."""
    count = len(next(iter(found.values())))
    print(f"\n{name}, {count} submissions, CPU s each (mean)")
    parts = list(next(iter(found.values()))[0])
    print(f"{'':28}" + "".join(f"{part:>9}" for part in parts))
    means = {way: {part: statistics.mean(row[part] for row in rows) for part in parts} for way, rows in found.items()}
    for way, row in means.items():
        print(f"{way:28}" + "".join(f"{row[part]:9.3f}" for part in parts))
    first, last = means["in the kernel, no sandbox"], means["isolated, full"]
    print(f"{'more: isolated, full':28}" + "".join(f"{last[part] - first[part]:9.3f}" for part in parts))
    more = [
        a["all"] - b["all"] for a, b in zip(found["isolated, full"], found["in the kernel, no sandbox"], strict=True)
    ]
    print("more CPU s a submission: p10 {:.3f}, median {:.3f}, p90 {:.3f}; budget {}".format(*of(more), BUDGET_CPU_S))


def main() -> None:
    """Measure, and print both tables."""
    options = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--calls", type=int, default=400, help="questions with a small tensor; of the large, a 20th")
    options.add_argument("--assignment", default="05-modules")
    options.add_argument("--submissions", type=int, default=6, help="of a pretend class; 0 leaves this part out")
    options.add_argument("--rounds", type=int, default=3, help="how often each submission is graded each way")
    options.add_argument("--json", action="store_true")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    asked = questions(arguments.calls)
    graded = {}
    if arguments.submissions > 0:
        graded = submissions(arguments.assignment, arguments.submissions, arguments.rounds)
    if arguments.json:
        json.dump({"questions_ms": asked, "submissions_s": graded}, sys.stdout)
        return
    show_questions(asked)
    if graded:
        show_submissions(arguments.assignment, graded)


if __name__ == "__main__":
    main()

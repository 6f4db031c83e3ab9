"""The same submissions, graded by nbgrader and by torchdojo: wall time, CPU time of all processes, ratios.

    python bench/autograde_vs_nbgrader.py                               # a small torch notebook, 24 submissions
    python bench/autograde_vs_nbgrader.py --rehearse 05-modules --students 100
    python bench/autograde_vs_nbgrader.py --course FOLDER --assignment NAME
    python bench/autograde_vs_nbgrader.py --growth 50 100 200 400       # torchdojo alone: what one more costs

nbgrader grades --nbgrader of them (12) in one process and is scaled; its start-up is measured apart and not scaled.
--split also runs one nbgrader process a core, the best of what a TA does today. All start-up is included. CPU is the
steadier figure; what is compared is run in turns.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
_PR_SET_CHILD_SUBREAPER = 36

SOLUTION = """\
import torch

def relu(x):
    ### BEGIN SOLUTION
    return x.clamp(min=0)
    ### END SOLUTION

def fit(steps=100):
    ### BEGIN SOLUTION
    torch.manual_seed(0)
    x = torch.linspace(-1, 1, 64).reshape(-1, 1)
    layer = torch.nn.Linear(1, 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((layer(x) - 3 * x - 1) ** 2).mean()
        loss.backward()
        optimizer.step()
    return layer, loss.item()
    ### END SOLUTION"""
TESTS = {
    "test_relu": "assert torch.equal(relu(torch.tensor([-1., 2.])), torch.tensor([0., 2.]))",
    "test_loss": "layer, loss = fit()\nassert loss < 1e-3",
    "test_weight": "assert abs(layer.weight.item() - 3) < 0.1",
}


@dataclass(frozen=True)
class Cost:
    """Of one command with all its descendants, in seconds. `first_s`: until its first line on stdout."""

    wall_s: float
    cpu_s: float
    first_s: float = 0.0


def cost_of(commands: Sequence[Sequence[str]], folder: Path) -> Cost:
    """Run commands side by side. Orphans come to this process, so that no CPU is missed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    running = [
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for command in commands
    ]
    assert running[0].stdout is not None
    first_s = time.monotonic() - began if running[0].stdout.readline() else 0.0
    for process in running:
        _, said = process.communicate()
        assert process.returncode in (0, 1), said
    wall_s = time.monotonic() - began
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, first_s)


def nbgrader_on(course: Path, assignment: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "nbgrader", "autograde", assignment, *options]


def torchdojo_on(course: Path, assignment: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "torchdojo", "autograde", assignment, "--json", *options]


@contextlib.contextmanager
def copy_of(course: Path, assignment: str, students: int) -> Iterator[Path]:
    """The course with `students` submissions, made of those that there are, and nothing graded."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "course"
        ignored = shutil.ignore_patterns("autograded", "feedback", ".torchdojo", ".git", ".venv", "submitted")
        shutil.copytree(course, copy, ignore=ignored, symlinks=True)
        there = sorted((course / "submitted").glob(f"*/{assignment}"))
        for number in range(students):
            shutil.copytree(there[number % len(there)], copy / "submitted" / f"s{number:04d}" / assignment)
        yield copy


def small_course(folder: Path) -> tuple[Path, str]:
    """A course with a small plain torch notebook: a ReLU, a 100-step fit, three grade cells; one right submission."""
    course = folder / "small"
    cells = [_cell(SOLUTION, "solution", solution=True)]
    cells += [_cell(source, name, grade=True, locked=True, points=1) for name, source in TESTS.items()]
    python = {"name": "python3", "display_name": "Python 3", "language": "python"}
    source = course / "source" / "fit" / "fit.ipynb"
    source.parent.mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": python}), source)
    (course / "nbgrader_config.py").write_text("c = get_config()\nc.CourseDirectory.course_id = 'bench'\n")
    subprocess.run([sys.executable, "-m", "nbgrader", "generate_assignment", "fit", "--quiet"], cwd=course, check=True)
    shutil.copytree(source.parent, course / "submitted" / "one" / "fit")
    return course, "fit"


def _cell(source: str, name: str, **meta: Any) -> Any:
    whole = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, "grade_id": name}
    return new_code_cell(source, id=name, metadata={"nbgrader": whole | meta})


def rehearsed_course(folder: Path, assignment: str, students: int) -> tuple[Path, str]:
    """This repository's course, released, with a rehearsed class."""
    course = folder / "rehearsed"
    course.mkdir()
    for name in ("course.yml", "nbgrader_config.py"):
        shutil.copy(ROOT / name, course)
    shutil.copytree(ROOT / "source", course / "source")
    (course / "data").symlink_to(ROOT / "data")
    for command in (["release", assignment], ["rehearse", assignment, "--students", str(min(students, 24))]):
        subprocess.run([sys.executable, "-m", "torchdojo", *command], cwd=course, check=True, capture_output=True)
    return course, assignment


def measure(course: Path, assignment: str, arguments: argparse.Namespace) -> None:
    """Print the table of one assignment."""
    few, many = min(arguments.nbgrader, arguments.students), arguments.students
    print(f"{assignment}: {many} submissions; nbgrader timed on {few}")
    with copy_of(course, assignment, few) as theirs:
        start = cost_of([nbgrader_on(theirs, assignment, "--student", "s0000")], theirs)
        rest = cost_of([nbgrader_on(theirs, assignment)], theirs)  # the others: the first is graded
    one = Cost(  # a start with one submission, and one more for each
        start.wall_s + rest.wall_s / (few - 1) * (many - 1), start.cpu_s + rest.cpu_s / (few - 1) * (many - 1)
    )
    with copy_of(course, assignment, many) as ours:
        mine = cost_of([torchdojo_on(ours, assignment, *arguments.option)], ours)
    rows = [("nbgrader, one process", one), ("torchdojo", mine)]
    if arguments.split:
        cores = len(os.sched_getaffinity(0))
        with copy_of(course, assignment, few) as theirs:
            names = [f"s{number:04d}" for number in range(few)]
            commands = [
                nbgrader_on(theirs, assignment, f"--CourseDirectory.student_id_exclude={','.join(others)}")
                for others in ([name for name in names if name not in names[core::cores]] for core in range(cores))
            ]
            split = cost_of(commands, theirs)
        rows.insert(1, (f"nbgrader, {cores} processes", Cost(split.wall_s * many / few, split.cpu_s * many / few)))
    print("| | wall s | CPU s | torchdojo takes |\n|---|---|---|---|")
    for name, cost in rows:
        ratio = f"1/{cost.wall_s / mine.wall_s:.1f} of the wall, 1/{cost.cpu_s / mine.cpu_s:.1f} of the CPU"
        print(f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {'' if cost is mine else ratio} |")
    print(f"first grade after {mine.first_s:.1f} s; {1000 * mine.cpu_s / many:.0f} ms of CPU a submission in all\n")


def measure_growth(course: Path, assignment: str, arguments: argparse.Namespace) -> None:
    """Print what a submission costs in classes of several sizes, and what each more costs from one size to the next."""
    print(f"{assignment}: classes of {', '.join(map(str, arguments.growth))}")
    print("| submissions | CPU s | ms a submission | ms for each more |\n|---|---|---|---|")
    before = (0, 0.0)
    for many in arguments.growth:
        with copy_of(course, assignment, many) as ours:
            cpu_s = cost_of([torchdojo_on(ours, assignment, *arguments.option)], ours).cpu_s
        more = f"{1000 * (cpu_s - before[1]) / (many - before[0]):.0f}" if before[0] else "with start-up"
        print(f"| {many} | {cpu_s:.1f} | {1000 * cpu_s / many:.0f} | {more} |")
        before = (many, cpu_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--course", type=Path, help="a course's folder with submissions")
    parser.add_argument("--assignment", help="of that course")
    parser.add_argument("--rehearse", metavar="ASSIGNMENT", help="an assignment of this repository")
    parser.add_argument("--students", type=int, default=24)
    parser.add_argument("--nbgrader", type=int, default=12, help="how many of them nbgrader grades")
    parser.add_argument("--split", action="store_true", help="also one nbgrader process a core")
    parser.add_argument("--growth", type=int, nargs="+", metavar="STUDENTS", help="sizes of classes, rising")
    parser.add_argument(
        "--option", action="append", default=[], help="for torchdojo autograde, such as --option=--workers=1"
    )
    arguments = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    what = measure_growth if arguments.growth else measure
    with tempfile.TemporaryDirectory() as folder:
        if arguments.course:
            what(arguments.course.resolve(), arguments.assignment, arguments)
        elif arguments.rehearse:
            what(*rehearsed_course(Path(folder), arguments.rehearse, arguments.students), arguments)
        else:
            what(*small_course(Path(folder)), arguments)


if __name__ == "__main__":
    main()

"""Where jobs run, and under which terms: what course.yml and nbgrader_config.py say, and what this machine has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchdojo.grading.prepare import Terms
from torchdojo.kernels.job import Job, Result
from torchdojo.kernels.preload import modules_in

if TYPE_CHECKING:
    from torchdojo.grading.folder import CourseFolder


@dataclass(frozen=True, slots=True)
class Pool:
    """Where jobs run on this machine, for `autograde`."""

    executor: Executor
    execute: Callable[[Job], Result]
    ahead: int


@contextmanager
def open_pool(workers: int) -> Iterator[Pool]:
    """Warm kernels, `workers` at once; 0 means as many as there are cores. Whatever still runs at the end is ended."""
    from torchdojo.kernels.execute import Runner, execute, use_runner

    workers = workers or len(os.sched_getaffinity(0))
    started: list[Runner] = []

    def start() -> None:
        started.append(Runner())
        use_runner(started[-1])

    executor = ThreadPoolExecutor(workers, initializer=start)
    try:
        yield Pool(executor, execute, ahead=2 * workers + 2)
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        for runner in started:
            runner.stop()
        executor.shutdown()
        for runner in started:
            runner.close()


@dataclass(frozen=True, slots=True)
class Placement:
    """The device that jobs of an assignment run on, and what a reader must know of it."""

    device: str = "cpu"
    threads: int = 1
    note: str = ""
    refusal: str = ""


def has_gpu() -> bool:
    """Whether this machine has a GPU that torch could use. Touches none: a process that forks must not."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    return hidden not in ("", "-1") and any(Path("/dev").glob("nvidia[0-9]*"))


def placement(folder: CourseFolder, assignment: str, *, gpu: bool) -> Placement:
    """Where jobs of `assignment` run, on a machine with or without a GPU."""
    if folder.course is None:
        return Placement()
    name = folder.course.assignment(assignment).runner
    runner = folder.course.runners[name]
    if runner.device == "cuda" and not gpu:
        if runner.without_gpu == "refuse":
            refusal = (
                f"not run: its runner '{name}' has device cuda, and this machine has no GPU. Grade it on one that has, "
                "or write without_gpu: cpu in course.yml."
            )
            return Placement("cuda", runner.threads, refusal=refusal)
        return Placement("cpu", runner.threads, note="ran on the CPU: this machine has no GPU.")
    return Placement(runner.device, runner.threads)


def terms_for(folder: CourseFolder, assignment: str, place: Placement, *, sandbox: str = "", isolated: bool) -> Terms:
    """The terms of an assignment's jobs.

    Args:
        folder: the course.
        assignment: its name.
        place: the device.
        sandbox: as typed; or else course.yml's, or else none.
        isolated: whether grade cells that use `student` are judged outside the student's process.
    """
    return Terms(
        limits=lambda code_cells: folder.limits(assignment, code_cells),
        device=place.device,
        threads=place.threads,
        sandbox=sandbox or (folder.course.sandbox if folder.course else "none"),
        isolated=isolated,
        preload=preload_of(folder, assignment),
        environment=_environment(folder),
        execute=folder.execute is not None and folder.execute.enabled,
    )


def _environment(folder: CourseFolder) -> tuple[tuple[str, str], ...]:
    """nbgrader tells a notebook that it is being graded; a course of ours tells it where the data lies."""
    data = (("TORCHDOJO_DATA", str(folder.course.data)),) if folder.course else ()
    return (("NBGRADER_EXECUTION", "autograde"), *data)


def preload_of(folder: CourseFolder, assignment: str) -> tuple[str, ...]:
    """The modules that the assignment's own notebooks import. A student's are not: they would run unwatched."""
    places = folder.coursedir
    for step in (places.source_directory, places.release_directory):
        notebooks = sorted(Path(places.format_path(step, ".", assignment)).glob("*.ipynb"))
        if notebooks:
            return tuple(modules_in(source for path in notebooks for source in _code_of(path)))
    return ()


def _code_of(path: Path) -> Iterator[str]:
    try:
        cells: list[Any] = json.loads(path.read_text(encoding="utf-8")).get("cells", [])
    except (ValueError, AttributeError, OSError):  # a broken source is `torchdojo verify`'s to tell
        return
    for cell in cells:
        if cell.get("cell_type") == "code":
            yield "".join(cell.get("source", ""))

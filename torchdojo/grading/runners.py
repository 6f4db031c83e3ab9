"""Where jobs run, and under which terms: what course.yml and nbgrader_config.py say, and what this machine has."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchdojo.datasets import readable_data
from torchdojo.grading.early import own_notebooks, preload_of
from torchdojo.grading.prepare import Terms
from torchdojo.kernels.sandbox_probe import probe, require

if TYPE_CHECKING:
    from torchdojo.grading.folder import CourseFolder


@dataclass(frozen=True, slots=True)
class Placement:
    """The device that jobs of an assignment run on, and what a reader must know of it."""

    device: str = "cpu"
    threads: int = 1
    note: str = ""
    refusal: str = ""


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
    data = readable_data(folder.course.data) if folder.course else ()
    return Terms(
        limits=lambda code_cells: folder.limits(assignment, code_cells),
        device=place.device,
        threads=place.threads,
        sandbox=sandbox or (folder.course.sandbox if folder.course else "none"),
        isolated=isolated,
        preload=preload_of(own_notebooks(_own_places(folder, assignment))),
        environment=(("NBGRADER_EXECUTION", "autograde"), *(("TORCHDOJO_DATA", path) for path in data)),
        read_only=data,
        execute=folder.execute is not None and folder.execute.enabled,
        note=place.note,
        refusal=place.refusal,
    )


def _own_places(folder: CourseFolder, assignment: str) -> list[Path]:
    places = folder.coursedir
    steps = (places.source_directory, places.release_directory)
    return [Path(places.format_path(step, ".", assignment)) for step in steps]


def require_sandbox(folder: CourseFolder, assignment: str, terms: Terms) -> None:
    """Say, before anything runs, what this machine cannot give of the sandbox that was asked for.

    Raises: OursError that names each, and what to do.
    """
    if terms.sandbox == "none" or not terms.execute:
        return
    places = folder.coursedir
    hidden = [folder.root / "gradebook.db", Path(places.format_path(places.source_directory, ".", assignment))]
    secrets = [str(path) for path in hidden if path.exists()]
    level: Any = terms.sandbox
    require(level, probe(terms.read_only, secrets, at_most=level))

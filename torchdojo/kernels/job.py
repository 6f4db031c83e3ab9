"""What crosses to a runner and what comes back: plain data that pickles. Knows no database and no course folder."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Limits:
    """What one job may use. Zero or less is no limit, except for the times."""

    cell_timeout_s: float = 60.0
    notebook_timeout_s: float = 300.0
    memory_mib: int = 4096  # over the job's whole process tree, shared pages counted once
    output_mib: int = 10
    disk_mib: int = 512
    processes: int = 64


@dataclass(frozen=True, slots=True)
class Job:
    """One notebook of one submission, ready to run.

    `notebook` is the prepared `.ipynb` (UTF-8 JSON); `files` lie beside it, as (relative path, content).
    `device` is "cpu" or "cuda"; `gpu_share` is how much of the GPU's memory torch may take, 1.0 all.
    `isolated` are the grade cells that a checker judges and the kernel never sees: (index among all cells, points).
    `preload` names the modules that the assignment imports, so that they are imported once for all jobs.
    `sandbox` is a level of `sandbox.LEVELS`; `read_only` are the folders of data that a cell may read in one.
    `environment` is added to what a kernel sees; otherwise it sees little of the runner's.
    `language` is the notebook's, `messages` what its tests say in it (template, translated); no kernel sees them.
    """

    key: str
    notebook: bytes
    files: tuple[tuple[str, bytes], ...] = ()
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"
    gpu_share: float = 1.0
    threads: int = 1
    seed: int = 0
    preload: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    sandbox: str = "none"
    read_only: tuple[str, ...] = ()
    isolated: tuple[tuple[int, float], ...] = ()
    language: str = "en"
    messages: tuple[tuple[str, str], ...] = ()


class JobStatus(enum.StrEnum):
    """How a job ended. A job never fails its batch: whatever happens, a Result with one of these comes back."""

    COMPLETED = "completed"  # every cell ran; some may have raised
    STOPPED = "stopped"  # a limit stopped a cell, or the whole notebook
    DIED = "died"  # the student's process ended by itself (os._exit, segmentation fault, killed)
    UNREADABLE = "unreadable"  # not a notebook, or of a kernel that is not Python
    OURS = "ours"  # the runner failed


@dataclass(frozen=True, slots=True)
class Stop:
    """A limit that stopped a cell: its name in course.yml, its value, what it was at, and what a learner reads."""

    limit: str
    value: float
    reached: float
    sentence: str


@dataclass(frozen=True, slots=True)
class CellResult:
    """What a code cell put out. `outputs` are nbformat 4 output dicts (plain dict, list, str, int, float, None)."""

    index: int  # position among all cells of the notebook
    outputs: tuple[dict[str, Any], ...] = ()
    execution_count: int | None = None
    seconds: float = 0.0
    stop: Stop | None = None
    judged_in_kernel: bool = True  # False: a checker ran its tests
    fault: str = ""  # a checker could not judge it, by no fault of the student's: why


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a job. `sentence` says what happened and what to do, when `status` is not completed.

    `cells` are the code cells that ran, or would have. `seconds` is wall time; `cpu_s` is of the job's own processes.
    `widgets` is what nbclient puts in a notebook's metadata under that name; empty where no widget was made.
    """

    key: str
    status: JobStatus
    cells: tuple[CellResult, ...] = ()
    sentence: str = ""
    seconds: float = 0.0
    cpu_s: float = 0.0
    device: str = "cpu"
    widgets: dict[str, Any] = field(default_factory=dict)

"""`torchdojo doctor`: what this machine can do for the course, and what to do about the rest."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from torchdojo.course import Course
    from torchdojo.kernels.sandbox_probe import SandboxReport

_HIDDEN = ("gradebook.db", "source", "submitted", "autograded", "feedback")
_FREE_DISK_MIB = 1024  # for feedback pages, the gradebook and one batch of submissions


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at. `ok` is None where the course asks for nothing; a remedy is for what is not ok."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


@click.command(
    epilog="""\b
Examples:
  torchdojo doctor
  torchdojo doctor --json | jq .ok
"""
)
@click.option("--json", "as_json", is_flag=True, help="For machines, on stdout.")
def command(as_json: bool) -> int:
    """Say what this machine can do: the sandbox, promise by promise; Python, torch, CUDA, data, disk and memory.

    In a course's folder, exit status 1 when something that course.yml asks for is missing.
    """
    from torchdojo.course import load
    from torchdojo.errors import AuthorError
    from torchdojo.kernels.sandbox_probe import probe

    trouble = ""
    course = None
    try:
        course = load()
    except AuthorError as error:
        trouble = str(error)
    data = [str(course.data)] if course and course.data.is_dir() else []
    hidden = [str(course.root / name) for name in _HIDDEN] if course else []
    report = probe(data, hidden)
    checks = [_course(course, trouble), *_software(course), _sandbox(course, report), *_room(course)]
    if course:
        checks.append(_mnist(course))
    ok = all(check.ok is not False for check in checks)
    if as_json:
        whole = {"ok": ok, "checks": [asdict(check) for check in checks], "sandbox": report.to_plain()}
        click.echo(json.dumps(whole, indent=2, ensure_ascii=False))
    else:
        _print(checks, report)
    return 0 if ok else 1


def _course(course: Course | None, trouble: str) -> Check:
    if course:
        return Check("course", True, f"{course.title} ({course.root})")
    missing = "not found" in trouble
    return Check(
        "course", None if missing else False, "none here" if missing else trouble, "" if missing else "Mend it."
    )


def _software(course: Course | None) -> list[Check]:
    checks = [
        Check("system", None, f"{platform.system()} {platform.release()} on {platform.machine()}"),
        Check("python", None, f"{platform.python_version()} ({sys.executable})"),
    ]
    for package in ("torch", "torchvision", "nbgrader"):
        try:
            checks.append(Check(package, True, importlib.metadata.version(package)))
        except importlib.metadata.PackageNotFoundError:
            checks.append(Check(package, False, "not installed", f"pip install {package}"))
    compiler = shutil.which("g++") or shutil.which("clang++")
    checks.append(Check("compiler", None, compiler or "none: torch.compile does not work, nothing else needs it"))
    wanted = [name for name, runner in course.runners.items() if runner.device == "cuda"] if course else []
    checks.append(_cuda(wanted))
    return checks


def _cuda(wanted: list[str]) -> Check:
    if not wanted and not os.path.exists("/dev/nvidiactl"):
        return Check("cuda", None, "no NVIDIA device; the course asks for none")
    import torch

    if torch.cuda.is_available():
        names = {torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())}
        return Check("cuda", True, ", ".join(sorted(names)))
    if not wanted:
        return Check("cuda", None, "an NVIDIA device that torch cannot use; the course asks for none")
    remedy = f"Grade where there is a GPU, or write `without_gpu: cpu` for runner {', '.join(wanted)} in course.yml."
    return Check("cuda", False, "torch finds no GPU", remedy)


def _sandbox(course: Course | None, report: SandboxReport) -> Check:
    from torchdojo.errors import OursError
    from torchdojo.kernels.sandbox_probe import require

    if course is None:
        return Check("sandbox", None, report.level, report.missing)
    try:
        require(course.sandbox, report)
    except OursError as error:
        return Check("sandbox", False, report.level, str(error))
    return Check("sandbox", True, f"{report.level} (course.yml asks for {course.sandbox})")


def _room(course: Course | None) -> list[Check]:
    import psutil

    memory_mib = psutil.virtual_memory().available >> 20
    cores = len(os.sched_getaffinity(0))
    root = course.root if course else os.getcwd()
    disk_mib = shutil.disk_usage(root).free >> 20
    checks = [Check("cores", None, str(cores))]
    if course is None:
        return [*checks, Check("memory", None, f"{memory_mib} MiB free"), Check("disk", None, f"{disk_mib} MiB free")]
    largest = max((assignment.limits.memory_mib for assignment in course.assignments), default=course.limits.memory_mib)
    at_once = max(1, memory_mib // largest) if largest > 0 else cores
    found = f"{memory_mib} MiB free: {at_once} submissions at once may each use all of memory_mib ({largest})"
    remedy = "Lower memory_mib in course.yml, or grade on a machine with more memory."
    checks.append(Check("memory", memory_mib >= largest, found, remedy))
    found = f"{disk_mib} MiB free in {root}"
    checks.append(Check("disk", disk_mib >= _FREE_DISK_MIB, found, f"Make room: {_FREE_DISK_MIB} MiB at least."))
    return checks


def _mnist(course: Course) -> Check:
    from torchdojo.datasets import mnist_root
    from torchdojo.errors import OursError

    try:
        return Check("mnist", True, str(mnist_root(course.data, verify=True)))
    except OursError as error:
        return Check("mnist", False, "not usable", str(error))


def _print(checks: list[Check], report: SandboxReport) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from torchdojo.kernels.sandbox_probe import PROPERTIES

    signs = {True: "[green]✓[/]", False: "[red]✗[/]", None: " "}
    out = Console(highlight=False)
    table = Table(show_header=False, box=None, pad_edge=False)
    for check in checks:
        table.add_row(signs[check.ok], check.name, escape(check.found))
    out.print(table)
    out.print()
    promises = Table(title=f"Sandbox: {report.level}. Student code …", title_justify="left", box=None, pad_edge=False)
    for header in ("", "promise", "means that it", "kept by"):
        promises.add_column(header)
    for one in report.properties:
        promises.add_row(signs[one.holds], one.name, PROPERTIES[one.name], one.by if one.holds else escape(one.missing))
    out.print(promises)
    for check in checks:
        if check.ok is not True and check.remedy:
            out.print(f"\n{signs[check.ok]} {check.name}: {escape(check.remedy)}".lstrip(" "), soft_wrap=True)

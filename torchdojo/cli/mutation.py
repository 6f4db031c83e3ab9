"""`torchdojo verify --mutate`: which mutants of the reference solutions live, and what to do about each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torchdojo.cli.progress import trials_shown, write_json

if TYPE_CHECKING:
    from torchdojo.authoring.mutation import MutationReport
    from torchdojo.course import Assignment, Course


def mutate_all(
    course: Course,
    chosen: Sequence[Assignment],
    exercises: Sequence[str],
    workers: int,
    out: Any,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Mutate the reference solutions of these assignments and print what lives; the exit status."""
    from torchdojo.authoring.mutation import mutate

    scratch = course.root / ".torchdojo"
    scratch.mkdir(exist_ok=True)
    reports: dict[str, list[MutationReport]] = {}
    for entry in chosen:
        with trials_shown(entry.name) as shown:
            reports[entry.name] = mutate(
                course.source_notebook(entry),
                exercises=exercises,
                workers=workers,
                limit_s=entry.limits.cell_timeout_s,
                scratch=scratch,
                on_result=shown,
            )
        for report in reports[entry.name]:
            _print(out, entry.name, report, quiet)
    every = [report for group in reports.values() for report in group]
    total, killed = sum(r.total for r in every), sum(len(r.killed) for r in every)
    alive = sum(len(r.survivors) for r in every)
    out.print(
        f"{len(every)} exercises, {total} mutants: {_share(killed, total)} killed, "
        f"{sum(len(r.equivalent) for r in every)} written down as equivalent, {alive} survive.",
        highlight=False,
        soft_wrap=True,
    )
    if alive:
        out.print(
            "Add a hidden test that kills each survivor. Where no test of the stated rules can, paste its lines under "
            "the exercise's variants:\n\n%%equivalent KEY\nbecause: …\n---\n- old line\n+ new line",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    write_json({name: [_as_json(r) for r in group] for name, group in reports.items()}, json_path)
    return 1 if alive or any(report.findings for report in every) else 0


def _print(out: Any, assignment: str, report: MutationReport, quiet: bool) -> None:
    name = report.exercise.name
    if not quiet:
        out.print(
            f"{assignment} · {name}: {_share(len(report.killed), report.total)} killed, {len(report.equivalent)} "
            f"equivalent, {len(report.survivors)} survive ({report.seconds:.0f} s)",
            highlight=False,
            soft_wrap=True,
        )
    for mutant in report.survivors:
        place = f"line {mutant.line}" + (f" of its solution cell {mutant.cell + 1}" if mutant.cell else "")
        out.print(
            f"[bold red]✗[/] {assignment}: {name}: {mutant.key} survives, {place}", highlight=False, soft_wrap=True
        )
        out.print(mutant.diff, highlight=False, markup=False, soft_wrap=True)
    for finding in report.findings:
        out.print(f"[bold red]✗[/] {assignment}:", end=" ")
        out.print(str(finding), highlight=False, markup=False, soft_wrap=True)


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "0 of 0"


def _as_json(report: MutationReport) -> dict[str, Any]:
    return {
        "exercise": report.exercise.name,
        "mutants": report.total,
        "killed": report.killed,
        "equivalent": report.equivalent,
        "survivors": [{"key": m.key, "line": m.line, "diff": m.diff} for m in report.survivors],
        "findings": [str(finding) for finding in report.findings],
    }

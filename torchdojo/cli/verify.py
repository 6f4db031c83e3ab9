"""`torchdojo verify`: the gate, as a table and an exit status."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from torchdojo.authoring.catalogue import Gap
    from torchdojo.authoring.verify import ExerciseReport, Finding


@click.command(
    epilog="""\b
Examples:
  torchdojo verify                       every assignment
  torchdojo verify 05-modules            one
  torchdojo verify 05-modules MLP        one exercise of it
  torchdojo verify 05-modules --seeds 100 --json verify.json
  torchdojo verify 05-modules MLP --mutate     instead: do the tests kill every mutant of the reference?
"""
)
@click.argument("assignment", required=False)
@click.argument("exercises", nargs=-1)
@click.option("--seeds", default=3, show_default=True, help="How many seeds the tests' random numbers start from.")
@click.option("--threads", default="1", show_default=True, help="Thread counts to try right solutions on: 1 or 1,2.")
@click.option("--isolated/--no-isolated", default=True, help="Also with the code in a process of its own (default).")
@click.option("--mutate", is_flag=True, help="Alter reference solutions, one thing at a time, and list what survives.")
@click.option("--workers", type=int, default=None, help="Processes at once. Default: one a core.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False),
    help="Write the tables to this file ('-': stdout).",
)
@click.option("--quiet", is_flag=True, help="Findings only, no tables.")
def command(
    assignment: str | None,
    exercises: tuple[str, ...],
    seeds: int,
    threads: str,
    isolated: bool,
    mutate: bool,
    workers: int | None,
    json_path: str | None,
    quiet: bool,
) -> int:
    """Judge the tests of an assignment's source notebook.

    Reference and alternative solutions must pass under every seed, the untouched starter and a guesser must earn 0,
    every misconception must lose points at the test it names, and all of it must be the same when the code runs in
    another process than the tests. Every text must be translated into the languages of course.yml. Exit status 1 when
    there are findings.

    With --mutate, reference solutions are altered mechanically instead, one thing at a time, and the tests run once on
    each mutant. Exit status 1 when one survives that is not written down as equivalent.
    """
    from rich.console import Console

    from torchdojo.authoring.languages import gaps
    from torchdojo.authoring.verify import verify
    from torchdojo.cli.mutation import mutate_all
    from torchdojo.cli.progress import trials_shown, write_json
    from torchdojo.course import load

    course = load()
    chosen = [course.assignment(assignment)] if assignment else list(course.assignments)
    out = Console(stderr=json_path == "-")
    if mutate:
        return mutate_all(course, chosen, exercises, workers or os.cpu_count() or 1, out, json_path, quiet)
    reports: dict[str, list[ExerciseReport]] = {}
    for entry in chosen:
        with trials_shown(entry.name) as shown:
            reports[entry.name] = verify(
                course.source_notebook(entry),
                exercises=exercises,
                seeds=range(seeds),
                threads=[int(count) for count in threads.split(",")],
                isolated=isolated,
                workers=workers or os.cpu_count() or 1,
                limit_s=entry.limits.cell_timeout_s,
                on_result=shown,
            )
        if not quiet:
            for report in reports[entry.name]:
                _print_table(out, entry.name, report)
    findings: list[tuple[str, Finding | Gap]] = []
    for name, group in reports.items():
        findings += [(name, finding) for report in group for finding in report.findings]
        findings += [(name, gap) for lang in course.languages[1:] if not exercises for gap in gaps(course, name, lang)]
    for name, finding in findings:
        out.print(f"[bold red]✗[/] {name}: {finding}", highlight=False, soft_wrap=True)
    count = sum(len(group) for group in reports.values())
    wrong = sum(len(report.rows) for group in reports.values() for report in group)
    right = sum(report.right_trials for group in reports.values() for report in group)
    verdict = f"{len(findings)} findings" if findings else "no findings"
    out.print(
        f"{count} exercises, {right} runs of right solutions, {wrong} misconceptions: {verdict}.",
        highlight=False,
    )
    write_json({name: [_as_json(r) for r in group] for name, group in reports.items()}, json_path)
    return 1 if findings else 0


_SIGNS = {"passed": "·", "wrong": "✗", "skipped": "–", "not attempted": "○"}


def _print_table(out: Any, assignment: str, report: ExerciseReport) -> None:
    from rich.table import Table

    title = f"{assignment} · {report.exercise.name} ({report.exercise.points:g} points, {report.seconds:.1f} s)"
    out.print(f"[bold]{title}[/]", highlight=False)
    table = Table(show_lines=False, pad_edge=False)
    table.add_column("misconception")
    for number, _ in enumerate(report.tests, start=1):
        table.add_column(str(number), justify="center")
    by_key = {v.key: v for v in report.exercise.misconceptions}
    for key, words in report.rows:
        cells = []
        for name in report.tests:
            word = words.get(name, "?")
            sign = _SIGNS.get(word, "⚡" if word.startswith("raised") else "!")
            cells.append(f"[bold]{sign}[/]" if by_key[key].caught_by == name else sign)
        table.add_row(key, *cells)
    out.print(table)
    for number, name in enumerate(report.tests, start=1):
        out.print(f"  {number}  {name}", highlight=False)
    out.print("  ✗ wrong  ⚡ raised  – skipped  · passed\n", highlight=False)


def _as_json(report: ExerciseReport) -> dict[str, Any]:
    return {
        "exercise": report.exercise.name,
        "points": report.exercise.points,
        "tests": list(report.tests),
        "misconceptions": {key: dict(words) for key, words in report.rows},
        "findings": [str(finding) for finding in report.findings],
        "right_trials": report.right_trials,
    }

"""`torchdojo autograde`: grade an assignment. nbgrader's own application reads the command line."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
from pathlib import Path
from typing import Any

import click

from torchdojo.grading.early import guess, open_pool


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    epilog="""\b
Examples:
  torchdojo autograde 05-modules
  torchdojo autograde 05-modules --student ada --force
  torchdojo autograde 05-modules --workers 4 --json > grades.jsonl
  torchdojo autograde 05-modules --dry-run

Every flag, alias and configuration of `nbgrader autograde` works too; --help-all lists them. Exit status: 0 all graded,
1 some not, 2 the command line or the course, 3 our own fault or the machine's, 130 interrupted.
""",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> None:
    """Grade what came in for ASSIGNMENT and changed since it was last graded.

    \b
      --student, --notebook PATTERN   only these
      --force                         also what is graded and unchanged
      --workers N                     notebooks at once; 0: what cores and memory allow
      --json                          one line of JSON a submission, on stdout
      --dry-run                       say what would be graded and why
      --no-execute                    score the outputs as they were handed in
      --db URL, --course-dir FOLDER   where the gradebook and the course are
    """
    signal.signal(signal.SIGTERM, _interrupt)
    with contextlib.ExitStack() as stack:
        pool = None
        if likely := guess(arguments, Path.cwd()):
            pool = stack.enter_context(open_pool(likely.workers, likely.preload, likely.jobs, memory_mib=4096))
        _import_jsonschema_lightly()
        from torchdojo.grading.application import AutogradeApplication

        AutogradeApplication.launch_instance(list(arguments), pool=pool)


def _interrupt(_number: int, _frame: Any) -> None:
    """Called by Python at SIGTERM: end as after Ctrl-C, keeping what is recorded."""
    raise KeyboardInterrupt


def _import_jsonschema_lightly() -> None:
    """Import jsonschema without the grammar of IRIs, which nothing here checks: 2.6 s of CPU less at every start."""
    name = "rfc3987_syntax"
    if name not in sys.modules:
        sys.modules[name] = None  # type: ignore[assignment]  # an import of it fails, and jsonschema goes on without
        try:
            importlib.import_module("jsonschema")
        finally:
            del sys.modules[name]

"""`torchdojo check`: for someone without a teacher. Light, so that the second check answers at once."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command(
    epilog="""\b
Examples:
  torchdojo check 05-modules                        release/05-modules/05-modules.ipynb, all of it
  torchdojo check 05-modules count_parameters       one exercise
  torchdojo check ~/my/05-modules.ipynb MLP init_xavier_
  torchdojo check 05-modules --json | jq .points
  torchdojo check --stop                            end what is kept warm

Exit status: 0 all that you asked for is right, 1 not yet, 2 the command line or a file that is no notebook, 3 a test
itself failed or this machine could not run it (not your fault), 130 interrupted.
"""
)
@click.argument("notebook", required=False)
@click.argument("exercises", metavar="[EXERCISE]...", nargs=-1)
@click.option(
    "--sandbox", type=click.Choice(["full", "partial", "none"]), help="How your code is shut in. Default: course.yml's."
)
@click.option("--course-dir", default="", metavar="FOLDER", help="Where course.yml is. Default: here, or above.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON an exercise, on stdout.")
@click.option(
    "--keep/--no-keep", default=True, help="Keep a warm process for the next check, for 15 minutes (default)."
)
@click.option("--stop", is_flag=True, help="End the warm processes of all your courses.")
def command(
    notebook: str | None,
    exercises: tuple[str, ...],
    sandbox: str | None,
    course_dir: str,
    as_json: bool,
    keep: bool,
    stop: bool,
) -> int:
    """Judge your own copy of a notebook by the course's tests, the hidden ones too.

    NOTEBOOK is its path, or an assignment's name for the one in release/. Your cells run in a sandbox, up to the last
    EXERCISE that you name. The tests run in another process. Your notebook stays as it is, and nothing is recorded.
    """
    if stop:
        return _stop()
    if notebook is None:
        raise click.UsageError("Name a notebook or an assignment: torchdojo check 05-modules")
    from torchdojo.practice.check import check
    from torchdojo.practice.request import Request, find_root
    from torchdojo.practice.voice import Voice

    here = Path.cwd()
    root = find_root(notebook, here, course_dir)
    request = Request(notebook, exercises, str(here), str(root), sandbox or "")
    typed = shlex.join([notebook, *(["--course-dir", course_dir] if course_dir else [])])
    with Voice(typed, as_json=as_json) as voice:
        return check(request, voice, keep=keep)


def _stop() -> int:
    from torchdojo.practice.warm_client import stop

    count = stop()
    click.echo(f"Stopped {count}." if count else "Nothing was kept warm.", err=True)
    return 0

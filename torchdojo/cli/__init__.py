"""The command line: one thin file a command, each loaded only when it is called."""

from __future__ import annotations

import difflib
import importlib
import sys

import click

# command -> what `torchdojo --help` says of it. The file is torchdojo/cli/<command>.py, its function `command`.
COMMANDS = {
    "check": "Judge your own notebook, the hidden tests too; for learning without a teacher.",
    "verify": "Judge the tests: right solutions pass, wrong ideas are caught.",
    "translate": "Bring a notebook's translations up to date.",
    "site": "Write the course page: syllabus, misconceptions, and which test catches which.",
    "release": "Write what students get from what instructors wrote.",
    "autograde": "Grade what came in and changed since it was last graded.",
    "rehearse": "Write a pretend class with known grades, to rehearse grading.",
    "doctor": "Say what this machine lacks for the course, and what to do.",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"torchdojo.cli.{name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_Lazy, epilog="Example: torchdojo verify 05-modules", context_settings={"max_content_width": 100})
@click.version_option(package_name="torchdojo")
def cli() -> None:
    """An auto-graded PyTorch course: author it, release it, grade it.

    Every command has its own --help with an example.
    """


def main() -> None:
    """Run the command line. Exit status: 0 ok, 1 findings, 2 usage or the author's mistake, 3 ours, 130 interrupted."""
    from torchdojo.errors import TorchdojoError

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(130)
    except TorchdojoError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_status)
    sys.exit(status if isinstance(status, int) else 0)

"""The front door: quick to answer, every command with an example, every mistake with a remedy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from torchdojo.cli import COMMANDS, cli


def test_help_imports_nothing_heavy() -> None:
    """`torchdojo --help` imports neither torch nor nbgrader nor nbformat nor pytest: it answers at once."""
    code = (
        "import sys\nfrom torchdojo.cli import main\nsys.argv = ['torchdojo', '--help']\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert e.code == 0\n"
        "print(sorted({'torch', 'nbgrader', 'nbformat', 'pytest', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example(name: str) -> None:
    """--help of every command says what it does and shows an example that can be typed."""
    done = CliRunner().invoke(cli, [name, "--help"])
    assert done.exit_code == 0, done.output
    assert f"torchdojo {name}" in done.output.partition("Example")[2]


def test_unknown_command_suggests_the_nearest() -> None:
    """A mistyped command: the nearest is suggested, status 2."""
    done = CliRunner().invoke(cli, ["verfy"])
    assert done.exit_code == 2
    assert "Did you mean 'verify'?" in done.output


def test_outside_a_course(tmp_path: Path) -> None:
    """Without a course.yml the message says where to go; no traceback, status 2."""
    command = [sys.executable, "-m", "torchdojo", "verify"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "course.yml: not found" in done.stderr
    assert "Traceback" not in done.stderr

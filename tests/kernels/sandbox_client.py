"""Starts sandbox_server under this user or an ordinary one, and asks it to do deeds."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from torchdojo.kernels import surroundings

ROOT = Path(__file__).parents[2]
ORDINARY = 64001  # nobody's id
SYSTEM_PYTHON = "/usr/bin/python3"  # an ordinary user can read it when ours lies below /root
USERS = ("root", "ordinary user") if os.geteuid() == 0 else ("ordinary user",)  # only root can be both
SECRET = {"TORCHDOJO_TEST_SECRET": "open sesame"}


class Server:
    """sandbox_server in a process of its own, under this user or another."""

    def __init__(
        self, python: list[str], modules: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.path = _path(python)
        self.process = subprocess.Popen(
            [*python, "-m", "tests.kernels.sandbox_server", *modules],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=surroundings.clean_environment({"PYTHONPATH": self.path, **SECRET, **(environment or {})}),
        )
        assert self.process.stdout is not None
        hello = json.loads(self.process.stdout.readline())
        self.missing, self.world = hello["missing"], hello["world"]

    def do(
        self,
        deed: Callable[..., Any] | str,
        spec: dict[str, Any] | None,
        *,
        within_s: float = 90,
        look_at_it: bool = False,
        interrupt_after_s: float = 0,
        **more: Any,
    ) -> dict[str, Any]:
        """The answer of `sandbox_server.do`; `spec` None does it free."""
        name = deed if isinstance(deed, str) else f"{deed.__module__}:{deed.__name__}"
        request = {
            "deed": name,
            "spec": spec,
            "more": more,
            "within_s": within_s,
            "look_at_it": look_at_it,
            "interrupt_after_s": interrupt_after_s,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def trouble(self, deed: Callable[..., Any], spec: dict[str, Any]) -> str:
        """Why the sandbox could not be forked."""
        return str(self.do(deed, spec).get("trouble", ""))

    def end(self) -> None:
        """Close it down."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(20)
        self.process.stdout.close()


def _path(python: list[str]) -> str:
    """Packages of this environment too, for another Python of the same version."""
    return str(ROOT) if sys.executable in python else f"{ROOT}:{sysconfig.get_path('purelib')}"


def as_ordinary_user() -> list[str]:
    """How to start a Python as an ordinary user; skips where there is no way."""
    if os.geteuid() != 0:
        return [sys.executable]
    python = sys.executable if _others_can_read(sys.executable) else SYSTEM_PYTHON
    if not os.path.exists(python) or not _others_can_read(str(ROOT)):
        pytest.skip("no Python here that an ordinary user can read")
    version = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    if subprocess.run([python, "-c", version], check=False).returncode:
        pytest.skip(f"{python} is another version than ours")
    return ["setpriv", f"--reuid={ORDINARY}", f"--regid={ORDINARY}", "--clear-groups", python]


def _others_can_read(path: str) -> bool:
    real = Path(path).resolve()
    return all(stat.S_IMODE(one.stat().st_mode) & 0o1 for one in (real, *real.parents))


def start(user: str, modules: tuple[str, ...] = ()) -> Server:
    """A server of one of USERS."""
    return Server([sys.executable] if user == "root" else as_ordinary_user(), modules)

"""A real JupyterLab and a real Chromium (Debian's, or TORCHDOJO_CHROMIUM)."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = [
    "--no-sandbox",  # as root, Chromium starts no other way
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium."""
    path = os.environ.get("TORCHDOJO_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("No chromium. Type: apt-get install chromium, or set TORCHDOJO_CHROMIUM to one.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """Start JupyterLab in a folder, in a theme; returns its address. Stopped at the end."""
    started: list[subprocess.Popen[bytes]] = []

    def start(folder: Path, theme: str = "JupyterLab Light") -> str:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        settings = tmp_path / "settings" / "@jupyterlab"
        for name, content in {
            "apputils-extension/themes": {"theme": theme},
            "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
            "notebook-extension/tracker": {"windowingMode": "none"},  # cells out of sight are drawn too
        }.items():
            file = settings / f"{name}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(content))
        environment = os.environ | {
            "JUPYTERLAB_SETTINGS_DIR": str(tmp_path / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(tmp_path / "workspaces"),
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTER_DATA_DIR": str(tmp_path / "share"),
            "IPYTHONDIR": str(tmp_path / "ipython"),
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
        command += ["--IdentityProvider.token=", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
        with (tmp_path / "lab.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            assert process.poll() is None, (tmp_path / "lab.log").read_text()
            try:
                with urllib.request.urlopen(f"{address}/api", timeout=5):
                    return address
            except OSError:
                time.sleep(0.3)
        raise AssertionError((tmp_path / "lab.log").read_text())

    yield start
    for process in started:
        process.terminate()
        process.wait(20)

"""The command line's side of a warm server: find or start it, ask, hear. Light: imports nothing that runs a check."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from torchdojo.errors import AuthorError, OursError
from torchdojo.practice.channel import Door, Gone, Line, name_for
from torchdojo.practice.request import Request
from torchdojo.practice.stamp import stamp

Hear = Callable[[dict[str, Any]], None]
_TRIES = 4  # a server may end, by itself or by a signal, just when it is asked
_STOP_WITHIN_S = 20.0


def ask(request: Request, hear: Hear) -> None:
    """Have a warm server check; `hear` is called with each event (see judging), in this thread.

    Raises:
        AuthorError: of status 2, as the server said.
        OursError: of status 3; or there is no server and none can be started.
    """
    message = {"do": "check", "stamp": stamp(), "request": request.to_plain()}
    for _ in range(_TRIES):
        with _line_to_server(request.root, hear) as line:
            if _conversation(line, message, hear):
                return
    raise OursError("The warm parent ended, again and again. `torchdojo check --no-keep` works without it.")


def _conversation(line: Line, message: dict[str, Any], hear: Hear) -> bool:
    """Whether the check came to its end; otherwise another server must be asked."""
    told = False
    try:
        line.send(message)
    except Gone:
        return False
    while (event := line.receive()) is not None:
        kind = event["event"]
        if kind == "outdated":
            return False
        if kind == "error":
            raise (AuthorError if event["status"] == 2 else OursError)(event["sentence"])
        told = told or kind != "at"
        hear(event)
        if kind == "end":
            return True
    if told:
        raise OursError("The warm parent ended in the middle of its work. Type the same command again.")
    return False


def _line_to_server(root: str, hear: Hear) -> Line:
    name = name_for(Path(root))
    with Door() as door:
        line = door.connect(name)
        if line is not None:
            return line
        with door.locked():
            line = door.connect(name)  # somebody else may have started one meanwhile
            if line is None:
                hear({"event": "at", "sentence": "starting the warm parent of all kernels, once"})
                _start(name, root)
                line = door.connect(name)
    if line is None:
        raise OursError("The warm parent started and cannot be reached. `torchdojo check --no-keep` works without it.")
    return line


def _start(name: str, root: str) -> None:
    """Start a server that outlives this process, and wait until it listens.

    Raises: OursError with its last words.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "torchdojo.practice.warm_server", name, root],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # a Ctrl-C in this terminal is not for it
    )
    assert process.stdout is not None
    with process.stdout as output:
        said = output.readline()
        if said != b"ready\n":
            words = (said + output.read()).decode(errors="replace").strip()[-1000:]
            process.wait()
            raise OursError(f"The warm parent did not start. It said: {words or 'nothing'}")
    process.returncode = 0  # it is on its own now: nobody waits for it


def stop() -> int:
    """End every warm server of this user's; the check at work is ended too. Returns how many there were."""
    stopped = 0
    with Door() as door:
        for name in door.names():
            line = door.connect(name)
            if line is None:
                with door.locked():
                    line = door.connect(name)
                    if line is None:
                        door.remove(name)  # of a server that was killed
                        continue
            with line:
                _end(line)
            stopped += 1
    return stopped


def _end(line: Line) -> None:
    """Tell a server to end, and wait until its process has: it holds the line until then."""
    pid, _ = line.peer()
    until_s = time.monotonic() + _STOP_WITHIN_S
    with suppress(Gone):
        line.send({"do": "stop"})
    while line.receive(max(until_s - time.monotonic(), 0.01)) is not None:
        pass
    if time.monotonic() >= until_s and pid > 0:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

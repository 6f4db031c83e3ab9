"""Where a warm server is found and how it is spoken to: a Unix socket in a folder of this user's alone, JSON by line.

Light: every call of the command imports it.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import stat
import struct
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torchdojo.errors import OursError

MESSAGE_BYTES = 16 * 1024 * 1024
_WITHOUT = "`torchdojo check --no-keep` works without it."


def runtime_folder() -> Path:
    """Where sockets of this user's lie while they are in use: $XDG_RUNTIME_DIR/torchdojo, or what stands for it."""
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that XDG_RUNTIME_DIR is not set: the folder is checked before it is used
        return user_runtime_path("torchdojo")


class Gone(Exception):
    """The other end of a line is there no more."""


class Door:
    """The runtime folder, open and found to be this user's. Everything in it is reached through its descriptor."""

    def __init__(self) -> None:
        """Make the folder if there is none.

        Raises: OursError where it cannot be made, or others could reach into it.
        """
        folder = Path("$XDG_RUNTIME_DIR")
        try:
            folder = runtime_folder()
            for part in (folder.parent, folder):
                with suppress(FileExistsError):
                    os.mkdir(part, 0o700)
            self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            raise OursError(
                f"{folder}: no folder for the warm parent's socket ({error.strerror or error}). {_WITHOUT}"
            ) from None
        found = os.fstat(self._fd)
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            os.close(self._fd)
            raise OursError(
                f"{folder} is not yours alone, so no warm parent can be reached through it. Remove it, or set "
                f"XDG_RUNTIME_DIR to a folder of yours. {_WITHOUT}"
            )

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Only one process at a time puts a socket here or takes one away."""
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def names(self) -> list[str]:
        """The sockets that lie here."""
        return sorted(name for name in os.listdir(self._fd) if name.endswith(".sock"))

    def connect(self, name: str) -> Line | None:
        """A line to the server whose socket is `name`; None where nobody listens, or somebody else does."""
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.connect(self._address(name))
        except OSError:
            sock.close()
            return None
        line = Line(sock)
        if line.peer()[1] != os.getuid():
            line.close()
            return None
        return line

    def listen(self, name: str) -> socket.socket:
        """Put a socket here, in the place of one that nobody listens at. Only while `locked`."""
        self.remove(name)
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(self._address(name))
        sock.listen(16)
        return sock

    def identity(self, name: str) -> int:
        """Tells a socket from another that was put in its place; 0 for none."""
        try:
            return os.stat(name, dir_fd=self._fd).st_ino
        except FileNotFoundError:
            return 0

    def remove(self, name: str) -> None:
        """Take a socket away. Only while `locked`."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)

    def _address(self, name: str) -> str:
        return f"/proc/self/fd/{self._fd}/{name}"  # a socket's whole path may be longer than the 107 bytes allowed


def name_for(root: Path) -> str:
    """The socket of a course: another course or Python has another."""
    told = "\0".join((str(root.resolve()), sys.executable, sys.version))
    return hashlib.sha256(told.encode("utf-8", "surrogateescape")).hexdigest()[:16] + ".sock"


class Line:
    """One end of a conversation: messages are dicts, a line of JSON each."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._reader = sock.makefile("rb")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def peer(self) -> tuple[int, int]:
        """Process and user id of the other end, as the system knows them."""
        packed = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid, user, _ = struct.unpack("3i", packed)
        return pid, user

    def send(self, message: dict[str, Any]) -> None:
        """Raises: Gone"""
        try:
            self._sock.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            raise Gone(str(error)) from None

    def receive(self, within_s: float | None = None) -> dict[str, Any] | None:
        """The next message; None when the other end is gone, says no JSON, or nothing in time: then hang up."""
        self._sock.settimeout(within_s)
        try:
            read = self._reader.readline(MESSAGE_BYTES)
            message = json.loads(read) if read.endswith(b"\n") else None
        except (OSError, ValueError):
            return None
        finally:
            with suppress(OSError):
                self._sock.settimeout(None)
        return message if isinstance(message, dict) else None

    def stop_listening(self) -> None:
        """Have a thread that waits in `receive` return. What is sent still arrives."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Let go of it."""
        self._reader.close()
        self._sock.close()

"""Frames over a socket between the checker and the student's process: a length, then bytes."""

from __future__ import annotations

import socket
import struct
import time

_LENGTH = struct.Struct("<Q")
_LINE_BYTES = 4 * 2**20
_SMALL = 64 * 1024  # up to here a copy is cheaper than another call


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a line. As much as Linux allows lies in it, so that 10 MB take few turns of both processes."""
    ends = socket.socketpair()
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _LINE_BYTES)
    return ends


class Gone(Exception):
    """The other side closed, died, or broke the framing."""


class TooLong(Gone):
    """The other side announced more than may come."""


class Late(Exception):
    """The other side did not answer in time."""


def send(sock: socket.socket, data: bytes, deadline: float | None = None) -> None:
    """Send one frame, before `deadline` (time.monotonic). Raises Gone or Late."""
    try:
        sock.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        head = _LENGTH.pack(len(data))
        if len(data) <= _SMALL:
            sock.sendall(head + data)
        else:
            sock.sendall(head)
            sock.sendall(data)
    except TimeoutError:
        raise Late from None
    except OSError as error:
        raise Gone(str(error)) from None


def receive(sock: socket.socket, *, max_bytes: int, deadline: float | None = None) -> bytearray:
    """One frame of at most `max_bytes`, before `deadline` (time.monotonic). Raises Gone (TooLong among it) or Late."""
    (length,) = _LENGTH.unpack(_exactly(sock, _LENGTH.size, deadline))
    if length > max_bytes:
        raise TooLong(f"an answer of {length} bytes, more than {max_bytes}")
    return _exactly(sock, length, deadline)


def _exactly(sock: socket.socket, count: int, deadline: float | None) -> bytearray:
    buffer = bytearray(count)
    view, got = memoryview(buffer), 0
    while got < count:
        try:
            sock.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
            size = sock.recv_into(view[got:])
        except TimeoutError:
            raise Late from None
        except OSError as error:
            raise Gone(str(error)) from None
        if not size:
            raise Gone("closed")
        got += size
    return buffer

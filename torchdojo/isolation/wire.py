"""Frames over a socket between the checker and the student's process.

A frame is a few parts: how many, the length of each, then their bytes. A large tensor is a part of its own, sent from
its memory and received where it will stay, so that nothing but the socket copies it.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Sequence

APART_BYTES = 64 * 1024  # from here on bytes are a part of their own
MAX_PARTS = 1024
_HEAD = struct.Struct("<IQ")  # how many parts, the length of the first
_LENGTH_BYTES = 8
_LINE_BYTES = 4 * 2**20


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


def send(sock: socket.socket, parts: Sequence[bytes | memoryview], deadline: float | None = None) -> None:
    """Send one frame of at least one part, before `deadline` (time.monotonic). Raises Gone or Late."""
    head = [_HEAD.pack(len(parts), len(parts[0]))]
    head += [len(part).to_bytes(_LENGTH_BYTES, "little") for part in parts[1:]]
    small = [part for part in parts if len(part) < APART_BYTES]
    try:
        sock.settimeout(None if deadline is None else max(deadline - time.monotonic(), 0.001))
        if len(small) == len(parts):
            sock.sendall(b"".join([*head, *small]))
        else:
            sock.sendall(b"".join(head))
            for part in parts:
                sock.sendall(part)
    except TimeoutError:
        raise Late from None
    except OSError as error:
        raise Gone(str(error)) from None


def receive(sock: socket.socket, *, max_bytes: int, deadline: float | None = None) -> list[bytearray]:
    """The parts of one frame, together at most `max_bytes`, before `deadline` (time.monotonic).

    Raises:
        Gone: TooLong among it.
        Late
    """
    count, first = _HEAD.unpack(_exactly(sock, _HEAD.size, deadline))
    if not 0 < count <= MAX_PARTS:
        raise TooLong(f"an answer in {count} parts, at most {MAX_PARTS} may be")
    rest = _exactly(sock, (count - 1) * _LENGTH_BYTES, deadline)
    lengths = [
        first,
        *(int.from_bytes(rest[at : at + _LENGTH_BYTES], "little") for at in range(0, len(rest), _LENGTH_BYTES)),
    ]
    if sum(lengths) > max_bytes:
        raise TooLong(f"an answer of {sum(lengths)} bytes, more than {max_bytes}")
    return [_exactly(sock, length, deadline) for length in lengths]


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

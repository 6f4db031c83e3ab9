"""JSON messages over a pair of local sockets, between a runner and a kernel it does not trust.

A message travels as packets, each whole or not at all, so any process that holds the socket (a fork of a fork, a
thread) may send without tearing another's message apart. Nothing is ever unpickled.
"""

from __future__ import annotations

import json
import math
import re
import select
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

PACKET_BYTES = 60_000  # well under the send buffer (net.core.wmem_default is 212,992), so a packet needs no second wait
_HEAD = struct.Struct("!QB")  # number of the message, unique among its senders; 1 on its last packet
_LONE_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")

Message = dict[str, Any]

# Kinds that make or change an output. Their sender waits until the runner has them, and with them all text written
# before: the order of outputs is then that of the program, not that of two processes' luck.
SHOWN = frozenset(
    {"display_data", "update_display_data", "execute_result", "error", "clear_output", "flush"}
    | {"comm_open", "comm_msg", "comm_close"}
)


class Malformed(Exception):
    """What came is no message of ours: not JSON, not an object, too long, too deep."""


class TooLong(Malformed):
    """More bytes than the reader allows."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a channel; a packet sent into one comes out of the other."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    end: socket.socket,
    body: bytes,
    number: int = 0,
    descriptors: Sequence[int] = (),
    deadline_s: float | None = None,
) -> None:
    """Send one message, waiting while the other side's buffer is full; `deadline_s` is on the monotonic clock.

    Raises:
        OSError: the other side is gone, or (TimeoutError) did not read until `deadline_s`.
    """
    first = True
    for start in range(0, max(len(body), 1), PACKET_BYTES):
        chunk = body[start : start + PACKET_BYTES]
        packet = _HEAD.pack(number, start + PACKET_BYTES >= len(body)) + chunk
        while True:
            try:
                if first and descriptors:
                    socket.send_fds(end, [packet], list(descriptors))
                else:
                    end.send(packet)
                break
            except BlockingIOError:
                left = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                if not _writable(end, left):
                    raise TimeoutError("the other side does not read") from None
        first = False


def _writable(end: socket.socket, timeout_s: float | None) -> bool:
    poll = select.poll()
    poll.register(end, select.POLLOUT)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))


def encode(message: Message) -> bytes:
    """A message of ours as bytes; what comes from a cell is encoded by jupyter_client's packer instead."""
    return json.dumps(message, ensure_ascii=True, separators=(",", ":")).encode()


def decode(body: bytes) -> Message:
    """A message from bytes that anyone may have written: plain types, finite numbers, text that UTF-8 can hold.

    Raises:
        Malformed
    """
    try:
        message = json.loads(body.decode("utf-8", "replace"), parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError, MemoryError) as error:
        raise Malformed(str(error)) from None
    if not isinstance(message, dict):
        raise Malformed(f"expected an object, got {type(message).__name__}")
    if _LONE_SURROGATE.search(body):
        try:
            cleaned: Message = _without_surrogates(message)
        except RecursionError:
            raise Malformed("nested too deep") from None
        return cleaned
    return message


def _finite(text: str) -> float | str:
    number = float(text)
    return number if math.isfinite(number) else text


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value


class Packets:
    """Puts packets together again; holds at most `limit_bytes` of unfinished messages."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._parts: dict[int, list[bytes]] = {}
        self._held = 0

    def feed(self, packet: bytes) -> tuple[int, bytes] | None:
        """The number and bytes of the message that `packet` ends, or None.

        Raises:
            Malformed: no packet of ours.
            TooLong: more than `limit_bytes` without an end. What was held is dropped.
        """
        if len(packet) < _HEAD.size:
            raise Malformed("a packet without a head")
        number, last = _HEAD.unpack_from(packet)
        parts = self._parts.setdefault(number, [])
        parts.append(packet[_HEAD.size :])
        self._held += len(packet)
        if self._held > self.limit_bytes:
            self._parts.clear()
            self._held = 0
            raise TooLong(f"a message of more than {self.limit_bytes} bytes")
        if not last:
            return None
        del self._parts[number]
        self._held -= sum(map(len, parts)) + _HEAD.size * len(parts)
        return number, b"".join(parts)


def receive(end: socket.socket, packets: Packets) -> tuple[int, bytes] | None:
    """The next packet of a non-blocking socket, and the message that it ends if it ends one.

    Raises:
        BlockingIOError: there is none now.
        EOFError: there will be none.
        Malformed: as `Packets.feed`.
    """
    try:
        packet = end.recv(PACKET_BYTES + _HEAD.size)
    except ConnectionError:
        raise EOFError from None
    if not packet:
        raise EOFError
    return packets.feed(packet)

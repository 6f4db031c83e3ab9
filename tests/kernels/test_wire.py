"""Messages cross whole, and what is no message is refused."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchdojo.kernels import wire

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def receive_all(end: socket.socket, packets: wire.Packets) -> tuple[int, bytes]:
    """The next whole message of a blocking socket."""
    while True:
        whole = wire.receive(end, packets)
        if whole is not None:
            return whole


@given(st.dictionaries(st.text(alphabet=st.characters(exclude_categories=["Cs"])), JSON, max_size=4))
def test_messages_come_out_as_they_went_in(message: dict[str, object]) -> None:
    """Any JSON object with finite numbers and proper text survives the way."""
    clean = wire.decode(wire.encode(message))
    assert wire.decode(wire.encode(clean)) == clean
    assert set(clean) == set(message)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_malformed(body: bytes) -> None:
    """No bytes raise anything but Malformed."""
    with contextlib.suppress(wire.Malformed):
        assert isinstance(wire.decode(body), dict)


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"{}{}", b'"text"', b"9" * 10_000])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    """Nesting without end, and anything but an object, is refused."""
    with pytest.raises(wire.Malformed):
        wire.decode(body)


def test_text_and_numbers_fit_a_notebook() -> None:
    """Lone surrogates are replaced, and numbers that JSON lacks become text: a notebook must be written as UTF-8."""
    message = wire.decode(b'{"\\ud800": ["\\udfff", NaN, -Infinity, 1e999, 1.5]}')
    assert message == {"?": ["?", "NaN", "-Infinity", "1e999", 1.5]}


def test_long_messages_of_many_senders_are_not_mixed() -> None:
    """Messages of several packets, sent by several threads at once, arrive whole."""
    left, right = wire.pair()
    bodies = {n: bytes([65 + n]) * (wire.PACKET_BYTES * 3 + n) for n in range(4)}
    threads = [threading.Thread(target=wire.send, args=(left, body, n)) for n, body in bodies.items()]
    for thread in threads:
        thread.start()
    packets = wire.Packets(limit_bytes=1 << 20)
    assert dict(receive_all(right, packets) for _ in bodies) == bodies
    for thread in threads:
        thread.join()
    left.close()
    with pytest.raises(EOFError):
        wire.receive(right, packets)
    right.close()


def test_unfinished_messages_are_bounded() -> None:
    """What never ends is dropped at the limit; the channel goes on."""
    packets = wire.Packets(limit_bytes=1000)
    head = (7).to_bytes(8, "big") + b"\0"
    for _ in range(9):
        assert packets.feed(head + b"x" * 100) is None
    with pytest.raises(wire.TooLong):
        packets.feed(head + b"x" * 100)
    assert packets.feed((8).to_bytes(8, "big") + b"\1{}") == (8, b"{}")
    with pytest.raises(wire.Malformed):
        packets.feed(b"short")


def test_sending_has_a_deadline() -> None:
    """A side that does not read holds up nobody."""
    left, right = wire.pair()
    left.setblocking(False)
    with pytest.raises(TimeoutError):
        wire.send(left, b"x" * (8 << 20), deadline_s=0.0)
    left.close()
    right.close()


def test_descriptors_travel_with_a_message() -> None:
    """A file's descriptor sent with a command arrives open."""
    left, right = wire.pair()
    read, write = os.pipe()
    wire.send(left, b"{}", descriptors=[write])
    _, descriptors, _, _ = socket.recv_fds(right, 100, 4)
    os.write(descriptors[0], b"through")
    assert os.read(read, 10) == b"through"
    for number in (read, write, descriptors[0]):
        os.close(number)
    left.close()
    right.close()

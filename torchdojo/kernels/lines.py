"""The runner's ends of what connects it with one kernel: messages, commands, text on 1 and 2, and its life.

Moves bytes; what they mean is `drive`'s. Nothing here waits for a kernel without a deadline.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from torchdojo.kernels import wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.warm import Zygote, ZygoteDied

READY_WITHIN_S = 120.0
DIE_WITHIN_S = 5.0
STREAMS = ("stdout", "stderr")
PIPE_BYTES = 256 * 1024
_UCRED = struct.Struct("3i")


class KernelNotStarted(Exception):
    """The new process could not become a kernel; the message says why. Never the student's fault."""


class Lines:
    """Opened by forking a kernel. `pid` is the kernel's, as this process sees it."""

    def __init__(self, zygote: Zygote, birth: Birth, limit_bytes: int) -> None:
        """Fork the kernel and wait until it is ready; `limit_bytes` bounds a message of its.

        Raises:
            ZygoteDied, KernelNotStarted
            OursError: no sandbox could be made.
        """
        self.pid = 0
        self.pidfd = -1
        self._packets = wire.Packets(limit_bytes)
        self._messages, messages = wire.pair()
        self._commands, commands = wire.pair()
        (out_read, out), (err_read, err) = os.pipe(), os.pipe()
        self.pipes = dict(zip(STREAMS, (out_read, err_read), strict=True))
        try:
            self._commands.setblocking(False)
            self._messages.setblocking(False)
            self._messages.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            for pipe in self.pipes.values():
                os.set_blocking(pipe, False)
                with suppress(OSError):  # over this user's share of pipe memory: the default size does
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            try:
                zygote.fork(birth, [messages.fileno(), commands.fileno(), out, err])
            finally:
                messages.close()
                commands.close()
                os.close(out)
                os.close(err)
            self._await_ready(zygote)
        except BaseException:
            self.close()
            raise

    def _await_ready(self, zygote: Zygote) -> None:
        poll = select.poll()
        poll.register(self._messages, select.POLLIN)
        poll.register(zygote, select.POLLIN)
        if not poll.poll(READY_WITHIN_S * 1000):
            raise KernelNotStarted(f"it was not ready within {READY_WITHIN_S:g} s")
        try:
            packet, ancillary, _, _ = self._messages.recvmsg(wire.PACKET_BYTES, socket.CMSG_SPACE(_UCRED.size))
        except BlockingIOError:
            raise ZygoteDied("it ended while it forked") from None
        whole = self._packets.feed(packet) if packet else None
        if whole is None:
            raise KernelNotStarted("the new process ended at once")
        message = wire.decode(whole[1])
        if message.get("kind") != "ready":
            raise KernelNotStarted(str(message.get("content", {}).get("sentence", "it said something else")))
        # its id as this process sees it, whatever namespaces it is in; no cell has run that could lie
        self.pid = next(_UCRED.unpack(data)[0] for _, kind, data in ancillary if kind == socket.SCM_CREDENTIALS)
        self.pidfd = os.pidfd_open(self.pid)
        self._messages.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)

    @property
    def messages(self) -> int:
        """The descriptor that is readable when `packets` has some."""
        return self._messages.fileno()

    def command(self, command: Mapping[str, Any], descriptors: Sequence[int] = ()) -> bool:
        """Have the kernel do something; false when it takes nothing any more."""
        until_s = time.monotonic() + DIE_WITHIN_S
        try:
            wire.send(self._commands, wire.encode(dict(command)), 1, descriptors, deadline_s=until_s)
        except OSError:
            return False
        return True

    def answer(self, number: int) -> None:
        """Tell the kernel that message `number` is taken in. One that does not read misses it."""
        with suppress(OSError):
            self._messages.send(number.to_bytes(8, "big"))

    def packets(self, at_most: int) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of the messages that have come, from no more packets than `at_most`.

        Raises:
            EOFError: there will be none any more.
            TooLong
        """
        for _ in range(at_most):
            try:
                whole = wire.receive(self._messages, self._packets)
            except BlockingIOError:
                return
            except wire.TooLong:
                raise
            except wire.Malformed:
                continue
            if whole is not None:
                yield whole

    def waiting(self, name: str) -> int:
        """Bytes of text that lie in a pipe now."""
        pipe = self.pipes.get(name)
        if pipe is None:
            return 0
        count: int = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
        return count

    def read(self, name: str, at_most: int) -> bytes:
        """Text from a pipe; empty when there is none now, or none any more."""
        try:
            data = os.read(self.pipes[name], at_most)
        except BlockingIOError:
            return b""
        if not data:  # every writer closed it
            os.close(self.pipes.pop(name))
        return data

    def interrupt(self) -> None:
        """What Ctrl-C does: SIGINT for the kernel and its group, as jupyter_client sends it; a stopped one wakes up."""
        with suppress(ProcessLookupError):
            send = os.killpg if os.getpgid(self.pid) == self.pid else os.kill
            send(self.pid, signal.SIGINT)
            send(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the kernel and wait until it is dead. What it started is killed by `Zygote.end`."""
        with suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        poll.poll(DIE_WITHIN_S * 1000)

    def close(self) -> None:
        """Let go of it all."""
        self._messages.close()
        self._commands.close()
        for pipe in self.pipes.values():
            os.close(pipe)
        self.pipes = {}
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

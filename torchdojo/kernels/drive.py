"""One forked kernel, driven from outside: send a cell, gather what it puts out, stop it at a limit, notice its death.

Nothing it sends is trusted, nothing it does can make its runner wait for longer than the limits say.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import select
import signal
import socket
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from torchdojo.kernels import watch, wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.job import Limits, Stop
from torchdojo.kernels.outputs import NotebookOutputs, error_output
from torchdojo.kernels.warm import Zygote, ZygoteDied

READY_WITHIN_S = 60.0
GRACE_S = 3.0  # from an interrupt to the kill: one long operation of torch's may have to end first
DIE_WITHIN_S = 5.0
_MIB = 1024 * 1024
_PIPE_BYTES = 256 * 1024
_REST_S = 0.004  # between reads of a trickle of text, so that a million lines do not wake the runner a million times
_ALWAYS_LEFT = 64 * 1024  # a cell may put out as much even when its notebook's share is used up
_LAST_PACKETS = 5000  # more than fit in a socket's buffer: what a dead kernel said is read to its end
_STREAMS = ("stdout", "stderr")
_UCRED = struct.Struct("3i")


class KernelNotStarted(Exception):
    """The new process could not become a kernel; the message says why. Never the student's fault."""


@dataclass(slots=True)
class Turn:
    """One cell (or other command) at work in a kernel."""

    index: int
    started_s: float
    deadline_s: float
    limit: str  # which limit the deadline stands for
    allowed_s: float
    left_bytes: int
    stop: Stop | None = None
    kill_at_s: float | None = None
    reply: Mapping[str, Any] | None = None
    done: bool = False
    seconds: float = 0.0


class Kernel:
    """A kernel of one job. `start_turn`, then `attend` until `turn.done`; `gone` when it can run nothing any more."""

    def __init__(self, zygote: Zygote, birth: Birth, limits: Limits, outputs: NotebookOutputs) -> None:
        """Fork the kernel and wait until it is ready.

        Raises:
            ZygoteDied, KernelNotStarted
        """
        self.outputs = outputs
        self.gone = False
        self.turn: Turn | None = None
        self._zygote = zygote
        self._limits = limits
        self._left_bytes = limits.output_mib * _MIB if limits.output_mib > 0 else 1 << 60
        self._watch = watch.Watch(zygote.pid, (birth.sandbox["folder"],), limits)
        self._packets = wire.Packets(min(self._left_bytes, 1 << 30) + _MIB)
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in _STREAMS}
        self._rest_until_s = 0.0
        self._pidfd = -1
        self._messages, messages = wire.pair()
        self._commands, commands = wire.pair()
        (out_read, out), (err_read, err) = os.pipe(), os.pipe()
        self._pipes = dict(zip(_STREAMS, (out_read, err_read), strict=True))
        try:
            for end in (self._messages, self._commands):
                end.setblocking(False)
            self._messages.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            for pipe in self._pipes.values():
                os.set_blocking(pipe, False)
                with suppress(OSError):  # over this user's share of pipe memory: the default size does
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            try:
                zygote.fork(birth, [messages.fileno(), commands.fileno(), out, err])
            finally:
                for end in (messages, commands):
                    end.close()
                for pipe in (out, err):
                    os.close(pipe)
            self._await_ready()
        except BaseException:
            self.close()
            raise

    def _await_ready(self) -> None:
        poll = select.poll()
        poll.register(self._messages, select.POLLIN)
        poll.register(self._zygote, select.POLLIN)
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
        # its id as this process sees it, whatever namespaces the kernel is in; no cell has run yet
        self.pid = next(
            _UCRED.unpack(data)[0] for level, kind, data in ancillary if kind == socket.SCM_CREDENTIALS
        )
        self._pidfd = os.pidfd_open(self.pid)
        self._messages.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)

    def start_turn(
        self,
        index: int,
        command: Mapping[str, Any],
        until_s: float,
        descriptors: Sequence[int] = (),
    ) -> Turn:
        """Have the kernel do something, as the cell at `index`; `until_s` is when the notebook's time is over.

        Commands: {"do": "cell", "code": …}; {"do": "call", "function": "module:name", "arguments": {…}}, which calls
        name(shell, descriptors, **arguments) there.
        """
        now = time.monotonic()
        cell_until_s = now + self._limits.cell_timeout_s
        notebook = until_s < cell_until_s
        self.turn = turn = Turn(
            index=index,
            started_s=now,
            deadline_s=min(until_s, cell_until_s),
            limit="notebook_timeout_s" if notebook else "cell_timeout_s",
            allowed_s=self._limits.notebook_timeout_s if notebook else self._limits.cell_timeout_s,
            left_bytes=max(self._left_bytes, _ALWAYS_LEFT),
        )
        self.outputs.begin(index)
        self._send(command, descriptors)
        return turn

    def _send(self, command: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        try:
            wire.send(
                self._commands, wire.encode(dict(command)), 1, descriptors, deadline_s=time.monotonic() + DIE_WITHIN_S
            )
        except OSError:  # it closed its end, or does not read: either way it takes no more cells
            self.kill()

    def descriptors(self) -> list[int]:
        """What to poll for this kernel now."""
        fixed = [self._messages.fileno(), self._pidfd, self._zygote.fileno()]
        return fixed if time.monotonic() < self._rest_until_s else [*fixed, *self._pipes.values()]

    def wait_s(self) -> float:
        """For how long nothing need be done if none of `descriptors` is ready."""
        now = time.monotonic()
        waits = [watch.LOOK_EVERY_S, self._watch.wait_s()]
        if now < self._rest_until_s:
            waits.append(self._rest_until_s - now)
        if self.turn is not None:
            waits.append((self.turn.kill_at_s or self.turn.deadline_s) - now)
        return max(0.0, min(waits))

    def see_to(self, ready: set[int]) -> None:
        """Take in what has come and hold the running turn to its limits. Called by `attend`.

        Raises:
            ZygoteDied
        """
        if self._zygote.fileno() in ready:
            raise ZygoteDied("it ended while a job was running")
        died = self._pidfd in ready
        if self._messages.fileno() in ready or died:
            self._read_messages(_LAST_PACKETS if died else 200)
        for name, pipe in list(self._pipes.items()):
            if pipe in ready and self._read(name) < _PIPE_BYTES // 4:
                self._rest_until_s = time.monotonic() + _REST_S
        turn = self.turn
        if died:
            self._over()
        elif turn is not None and not turn.done:
            self._hold(turn)

    def _hold(self, turn: Turn) -> None:
        now = time.monotonic()
        if turn.kill_at_s is not None and now >= turn.kill_at_s:
            self.kill()
        elif turn.stop is None and now >= turn.deadline_s:
            self._interrupt(turn, watch.stop(turn.limit, turn.allowed_s, self._reached_s(turn, now)))
        found = self._watch.look()
        if found is not None and not turn.done:
            turn.stop = turn.stop or found
            self.kill()

    def _reached_s(self, turn: Turn, now_s: float) -> float:
        return turn.allowed_s + now_s - turn.deadline_s

    def _interrupt(self, turn: Turn, reason: Stop) -> None:
        turn.stop = reason
        turn.kill_at_s = time.monotonic() + GRACE_S
        with suppress(ProcessLookupError):
            # the whole group, as jupyter_client does: the cell may be waiting for a child
            send = os.killpg if os.getpgid(self.pid) == self.pid else os.kill
            send(self.pid, signal.SIGINT)
            send(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """Kill the kernel, and take in what it said last. What it started is killed by `Zygote.end`."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        poll.poll(DIE_WITHIN_S * 1000)
        self._read_messages(_LAST_PACKETS)
        self._over()

    def _over(self) -> None:
        self.gone = True
        if self.turn is not None and not self.turn.done:
            for name in _STREAMS:
                self._drain(name)
            self._end_turn(self.turn)

    def _end_turn(self, turn: Turn) -> None:
        turn.done = True
        turn.seconds = time.monotonic() - turn.started_s
        for name, decoder in self._decoders.items():
            self.outputs.text(name, decoder.decode(b"", final=True))
            decoder.reset()
        self.outputs.end()
        self._left_bytes -= max(self._left_bytes, _ALWAYS_LEFT) - turn.left_bytes
        replies, self.outputs.widgets.replies = self.outputs.widgets.replies, []
        for reply in replies:
            if not self.gone:
                self._send({"do": "comm", "content": reply})

    def _read_messages(self, at_most: int = 200) -> None:
        """Take in some packets; not all that may come, so that the limits are looked at in between."""
        for _ in range(at_most):
            try:
                whole = wire.receive(self._messages, self._packets)
            except BlockingIOError:
                return
            except EOFError:
                if not self.gone:
                    self.gone = True
                    self.kill()
                return
            except wire.TooLong:
                self._too_much()
                continue
            except wire.Malformed:
                continue
            if whole is not None:
                self._take(*whole)

    def _take(self, number: int, body: bytes) -> None:
        turn = self.turn
        if turn is None or turn.done:
            return
        try:
            message = wire.decode(body)
        except wire.Malformed:
            message = {"kind": "flush"}
        kind, content = message.get("kind"), message.get("content")
        flushed = message.get("flushed")
        for name in flushed if isinstance(flushed, list) else ():
            if name in _STREAMS:
                self._drain(name)
                self.outputs.flush(name)
        if kind == "idle":
            for name in _STREAMS:
                self._drain(name)
            self._end_turn(turn)
        elif isinstance(kind, str) and isinstance(content, dict):
            if kind == "execute_reply":
                turn.reply = content
            elif self._may_keep(turn, len(body), kind):
                buffers = message.get("buffers")
                self.outputs.message(kind, content, buffers if isinstance(buffers, list) else [])
        if kind in wire.SHOWN and number < 1 << 32:
            with suppress(OSError):
                self._messages.send(number.to_bytes(8, "big"))

    def _may_keep(self, turn: Turn, size: int, kind: str) -> bool:
        if size <= turn.left_bytes:
            turn.left_bytes -= size
            return True
        if kind == "error" and size <= _ALWAYS_LEFT:  # what the interrupt of a flood raised
            return True
        self._too_much()
        return False

    def _too_much(self) -> None:
        turn = self.turn
        if turn is not None and turn.stop is None and not turn.done:
            turn.left_bytes = 0
            reason = watch.stop("output_mib", self._limits.output_mib, self._limits.output_mib)
            self._interrupt(turn, reason)

    def _drain(self, name: str) -> None:
        """Take in the text that lies in a pipe now, and not what is written meanwhile."""
        pipe = self._pipes.get(name)
        if pipe is None:
            return
        waiting = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0]
        while waiting > 0:
            got = self._read(name, waiting)
            if got == 0:
                return
            waiting -= got

    def _read(self, name: str, at_most: int = _PIPE_BYTES) -> int:
        pipe = self._pipes[name]
        try:
            data = os.read(pipe, at_most)
        except BlockingIOError:
            return 0
        if not data:  # every writer closed it
            os.close(self._pipes.pop(name))
            return 0
        turn = self.turn
        if turn is not None and not turn.done:
            kept = data[: turn.left_bytes]
            turn.left_bytes -= len(kept)
            self.outputs.text(name, self._decoders[name].decode(kept))
            if len(kept) < len(data):
                self._too_much()
        return len(data)

    def close(self) -> None:
        """Let go of the channels. The processes are ended by `Zygote.end`."""
        self._messages.close()
        self._commands.close()
        for pipe in self._pipes.values():
            os.close(pipe)
        self._pipes = {}
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1


def attend(kernels: Sequence[Kernel]) -> None:
    """Wait until one of the kernels has something to say or a limit is due, then see to all of them.

    Raises:
        ZygoteDied
    """
    poll = select.poll()
    for kernel in kernels:
        for descriptor in kernel.descriptors():
            poll.register(descriptor, select.POLLIN)
    ready = {descriptor for descriptor, _ in poll.poll(min(kernel.wait_s() for kernel in kernels) * 1000)}
    for kernel in kernels:
        if not kernel.gone:
            kernel.see_to(ready)


def show_end(outputs: NotebookOutputs, turn: Turn, died: str) -> None:
    """Add to a cell's outputs what the kernel could not: why it was stopped, that it died, an error it hid."""
    if turn.stop is not None:
        outputs.add(error_output(watch.ERROR_NAMES[turn.stop.limit], turn.stop.sentence))
    elif died:
        outputs.add(error_output("KernelDied", died))
    elif turn.reply is not None and turn.reply.get("status") == "error":
        name = str(turn.reply.get("ename", ""))
        if name not in outputs.errors():  # the rule of nbgrader's preprocessors.Execute
            outputs.message("error", _with_traceback(turn.reply), [])


def _with_traceback(reply: Mapping[str, Any]) -> dict[str, Any]:
    lines = reply.get("traceback") or ["ERROR: An error occurred while showtraceback was disabled"]
    return {"ename": reply.get("ename", ""), "evalue": reply.get("evalue", ""), "traceback": lines}

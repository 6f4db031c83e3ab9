"""One forked kernel, driven from outside: send a cell, gather what it puts out, stop it at a limit, notice its death.

Nothing it sends is trusted, nothing it does can make its runner wait for longer than the limits say.
"""

from __future__ import annotations

import codecs
import select
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchdojo.kernels import watch, wire
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.job import Limits, Stop
from torchdojo.kernels.lines import PIPE_BYTES, STREAMS, Lines
from torchdojo.kernels.outputs import NotebookOutputs, error_output
from torchdojo.kernels.warm import Zygote, ZygoteDied

GRACE_S = 3.0  # from an interrupt to the kill: one long operation of torch's may have to end first
_MIB = 1024 * 1024
_REST_S = 0.004  # between reads of a trickle of text, so that a million lines do not wake the runner a million times
_ALWAYS_LEFT = 64 * 1024  # a cell may put out as much even when its notebook's share is used up
_PACKETS_AT_ONCE = 200  # so that the limits are looked at in between
_LAST_PACKETS = 5000  # more than fit in a socket's buffer: what a dead kernel said is read to its end


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
    reply: Mapping[str, Any] | None = None  # of several, the last word on each field
    done: bool = False
    seconds: float = 0.0


class Kernel:
    """A kernel of one job. `start_turn`, then `attend` until `turn.done`; `gone` when it can run nothing any more."""

    def __init__(self, zygote: Zygote, birth: Birth, limits: Limits, outputs: NotebookOutputs) -> None:
        """Fork the kernel and wait until it is ready.

        Raises:
            ZygoteDied, KernelNotStarted
            OursError: no sandbox could be made.
        """
        self.outputs = outputs
        self.gone = False
        self.turn: Turn | None = None
        self._zygote = zygote
        self._limits = limits
        self._left_bytes = limits.output_mib * _MIB if limits.output_mib > 0 else 1 << 60
        self._watch = watch.Watch(zygote.tree, (birth.sandbox["folder"],), limits)
        self._decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in STREAMS}
        self._rest_until_s = 0.0
        self._lines = Lines(zygote, birth, min(self._left_bytes, 1 << 30) + _MIB)
        self.pid = self._lines.pid

    def start_turn(
        self,
        index: int,
        command: Mapping[str, Any],
        until_s: float,
        descriptors: Sequence[int] = (),
        cell_timeout_s: float | None = None,
    ) -> Turn:
        """Have the kernel do something, as the cell at `index`; `until_s` is when the notebook's time is over.

        Commands: {"do": "cell", "code": …}; {"do": "call", "function": "module:name", "arguments": {…}}, which calls
        name(shell, descriptors, **arguments) there. `cell_timeout_s` takes the place of the limit of that name.
        """
        now = time.monotonic()
        allowed_s = self._limits.cell_timeout_s if cell_timeout_s is None else cell_timeout_s
        cell_until_s = now + allowed_s
        notebook = until_s < cell_until_s
        self.turn = turn = Turn(
            index=index,
            started_s=now,
            deadline_s=min(until_s, cell_until_s),
            limit="notebook_timeout_s" if notebook else "cell_timeout_s",
            allowed_s=self._limits.notebook_timeout_s if notebook else allowed_s,
            left_bytes=max(self._left_bytes, _ALWAYS_LEFT),
        )
        self.outputs.begin(index)
        if not self._lines.command(command, descriptors):
            self.kill()
        return turn

    def descriptors(self) -> list[int]:
        """What to poll for this kernel now."""
        fixed = [self._lines.messages, self._lines.pidfd, self._zygote.fileno()]
        return fixed if time.monotonic() < self._rest_until_s else [*fixed, *self._lines.pipes.values()]

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
        died = self._lines.pidfd in ready
        if died or self._lines.messages in ready:
            self._take_messages(_LAST_PACKETS if died else _PACKETS_AT_ONCE)
        for name, pipe in list(self._lines.pipes.items()):
            if pipe in ready and self._take_text(name, PIPE_BYTES) < PIPE_BYTES // 4:
                self._rest_until_s = time.monotonic() + _REST_S
        if died:
            self._over()
        elif self.turn is not None and not self.turn.done:
            self._hold(self.turn)

    def _hold(self, turn: Turn) -> None:
        now = time.monotonic()
        if turn.kill_at_s is not None and now >= turn.kill_at_s:
            self.kill()
        elif turn.stop is None and now >= turn.deadline_s:
            reached_s = turn.allowed_s + now - turn.deadline_s
            self._interrupt(turn, watch.stop(turn.limit, turn.allowed_s, reached_s))
        found = self._watch.look()
        if found is not None and not turn.done:
            turn.stop = turn.stop or found
            self.kill()

    def _interrupt(self, turn: Turn, reason: Stop) -> None:
        turn.stop = reason
        turn.kill_at_s = time.monotonic() + GRACE_S
        self._lines.interrupt()

    def kill(self) -> None:
        """Kill the kernel, and take in what it said last. What it started is killed by `Zygote.end`."""
        self._lines.kill()
        self._take_messages(_LAST_PACKETS)
        self._over()

    def _over(self) -> None:
        self.gone = True
        if self.turn is not None and not self.turn.done:
            for name in STREAMS:
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
            if not self.gone and not self._lines.command({"do": "comm", "content": reply}):
                self.kill()

    def _take_messages(self, at_most: int) -> None:
        try:
            for number, body in self._lines.packets(at_most):
                self._take_message(number, body)
        except wire.TooLong:
            self._too_much()
        except EOFError:
            if not self.gone:  # it closed its end: it can be told nothing and says nothing any more
                self.gone = True
                self.kill()

    def _take_message(self, number: int, body: bytes) -> None:
        try:
            message = wire.decode(body)
        except wire.Malformed:
            message = {"kind": "flush"}
        turn = self.turn
        if turn is not None and not turn.done:  # as in nbclient, what comes between cells is nobody's
            self._enter_message(turn, message, len(body))
        if message.get("kind") in wire.SHOWN and number < 1 << 32:
            self._lines.answer(number)

    def _enter_message(self, turn: Turn, message: wire.Message, size: int) -> None:
        kind, content, flushed = message.get("kind"), message.get("content"), message.get("flushed")
        for name in flushed if isinstance(flushed, list) else ():
            if name in STREAMS:
                self._drain(name)
                self.outputs.flush(name)
        if kind == "idle":
            for name in STREAMS:
                self._drain(name)
            self._end_turn(turn)
        elif isinstance(kind, str) and isinstance(content, dict):
            if kind == "execute_reply":
                turn.reply = {**(turn.reply or {}), **content}
            elif self._may_keep(turn, size, kind):
                buffers = message.get("buffers")
                self.outputs.message(kind, content, buffers if isinstance(buffers, list) else [])

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
            self._interrupt(turn, watch.stop("output_mib", self._limits.output_mib, self._limits.output_mib))

    def _drain(self, name: str) -> None:
        """Take in the text that lies in a pipe now, and not what is written meanwhile."""
        waiting = self._lines.waiting(name)
        while waiting > 0:
            got = self._take_text(name, waiting)
            if got == 0:
                return
            waiting -= got

    def _take_text(self, name: str, at_most: int) -> int:
        data = self._lines.read(name, at_most)
        turn = self.turn
        if data and turn is not None and not turn.done:
            kept = data[: turn.left_bytes]
            turn.left_bytes -= len(kept)
            self.outputs.text(name, self._decoders[name].decode(kept))
            if len(kept) < len(data):
                self._too_much()
        return len(data)

    def close(self) -> None:
        """Let go of the kernel. Its processes are ended by `Zygote.end`."""
        self._lines.close()


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

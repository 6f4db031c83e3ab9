"""What a kernel puts out: messages to its runner, and text on descriptors 1 and 2, in an order the runner can keep."""

from __future__ import annotations

import base64
import os
import socket
import threading
from collections.abc import Sequence
from typing import Any

import jupyter_client.session
from ipykernel.iostream import OutStream

from torchdojo.kernels import wire


class Outlet:
    """Where a kernel's messages go: the channel to its runner, once there is one."""

    def __init__(self) -> None:
        self._end: socket.socket | None = None
        self._pid = 0
        self._lock = threading.RLock()
        self._number = 0
        self._read = 0
        self.flushes: list[str] = []  # streams flushed since the last message, in that order

    def connect(self, end: socket.socket) -> None:
        """Use this channel from now on. Called once, by the process that is to be the kernel."""
        self._end = end
        self._pid = os.getpid()
        self.flushes = []

    def flushed(self, name: str) -> None:
        """A stream was flushed: whatever is put out by others from now on comes after its text."""
        if name not in self.flushes:
            self.flushes.append(name)

    def about_to_write(self, name: str) -> None:
        """Text is about to be written to a stream; if another was flushed, let the runner see that one first."""
        if self.flushes and self.flushes != [name]:
            self.publish("flush", {})

    def publish(self, kind: str, content: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Send one message. A fork of the kernel (multiprocessing) sends too, but waits for no answer.

        Raises:
            TypeError, ValueError: the content cannot be written as JSON, as in any kernel.
        """
        if self._end is None:
            return
        flushed, self.flushes = self.flushes, []
        message = {"kind": kind, "content": content, "flushed": flushed}
        if buffers:
            message["buffers"] = [base64.b64encode(buffer).decode("ascii") for buffer in buffers]
        body = jupyter_client.session.json_packer(message)
        if os.getpid() != self._pid:
            wire.send(self._end, body, (os.getpid() << 32) + threading.get_native_id())
            return
        with self._lock:
            self._number += 1
            number = self._number
            wire.send(self._end, body, number)
            while kind in wire.SHOWN and self._read < number:
                answer = self._end.recv(8)
                if not answer:
                    os._exit(1)  # the runner is gone
                self._read = max(self._read, int.from_bytes(answer, "big"))


class KernelStream(OutStream):
    """sys.stdout and sys.stderr of a kernel. Text goes straight to the descriptor, so that a crash loses none.

    ipykernel keeps text for 0.2 s in a buffer, and catches what C code writes by a thread that watches descriptors 1
    and 2. Here both go the same way, in the order written, and no thread is needed.
    """

    def __init__(self, outlet: Outlet, name: str, descriptor: int) -> None:
        self.name = name
        self._outlet = outlet
        self._descriptor = descriptor
        self._nowhere = -1
        self._closed = False
        self._hooks_of_all: list[Any] = []

    def move_to(self, descriptor: int, nowhere: int) -> None:
        """Write to this descriptor from now on; give `nowhere` to who asks for a file number, as ipykernel does."""
        self._descriptor = descriptor
        self._nowhere = nowhere

    @property
    def _hooks(self) -> list[Any]:
        return self._hooks_of_all

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def __del__(self) -> None:  # TextIOBase would close a stream that is merely forgotten
        pass

    def fileno(self) -> int:
        return self._nowhere

    def isatty(self) -> bool:
        return False

    def set_parent(self, parent: Any) -> None:
        """Text belongs to the running cell, whoever writes it."""

    set_thread_parent = reset_thread_parent = set_parent

    def flush(self) -> None:
        self._outlet.flushed(self.name)

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self._closed:
            raise ValueError("I/O operation on closed file")
        if self._outlet.flushes:
            self._outlet.about_to_write(self.name)
        data = string.encode("utf-8", "replace")
        written = os.write(self._descriptor, data)
        while written < len(data):
            written += os.write(self._descriptor, memoryview(data)[written:])
        return len(string)

    def writelines(self, sequence: Any) -> None:
        self.write("".join(sequence))


class KernelSession(jupyter_client.session.Session):
    """Jupyter's session: makes the messages, and hands them to the outlet where the original has sockets."""

    outlet: Outlet

    def send(
        self,
        stream: Any,
        msg_or_type: Any,
        content: Any = None,
        parent: Any = None,
        ident: Any = None,
        buffers: Any = None,
        track: bool = False,
        header: Any = None,
        metadata: Any = None,
    ) -> Any:
        if isinstance(msg_or_type, dict):
            message = msg_or_type
        else:
            message = self.msg(msg_or_type, content=content, parent=parent, header=header, metadata=metadata)
        self.outlet.publish(message["msg_type"], message["content"], buffers or message.get("buffers") or ())
        return message

"""An IPython kernel without sockets or threads: built before a fork, served after it over two local channels.

It is ipykernel's own kernel and shell; only the way out is ours. Each iopub message goes to `Outlet.publish`, text goes
to the descriptors 1 and 2 it would go to in any program, and the runner (drive.py) puts both in order.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import inspect
import logging
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import jupyter_client.session
from ipykernel.compiler import XCachingCompiler
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from IPython.core.profiledir import ProfileDir
from tornado.ioloop import IOLoop
from traitlets.config import Config

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


class KernelStream(OutStream):  # type: ignore[misc]
    """sys.stdout and sys.stderr of a kernel. Text goes straight to the descriptor: what was printed before a crash stays.

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


class KernelSession(jupyter_client.session.Session):  # type: ignore[misc]
    """Jupyter's session: makes the messages, and hands them to the outlet where the original has sockets."""

    outlet: Outlet

    def send(  # noqa: PLR0913 - the original's signature
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


class CellCompiler(XCachingCompiler):  # type: ignore[misc]
    """Names the file of each cell as ipykernel does, and tells `inspect` which module it is.

    Otherwise each traceback looks for it in all modules there are, several times: 0.1 s when torch is imported.
    """

    def get_code_name(self, raw_code: str, code: str, number: int) -> str:
        name: str = super().get_code_name(raw_code, code, number)
        inspect.modulesbyfile[os.path.normcase(os.path.abspath(name))] = "__main__"  # type: ignore[attr-defined]
        return name


class ForkedKernel(IPythonKernel):  # type: ignore[misc]
    """ipykernel's kernel, told what to run by a runner. Made by `new_kernel`, before the fork."""

    compiler_class = CellCompiler
    outlet: Outlet

    # ipykernel asks which thread may take SIGINT for a cell that awaits
    shell_channel_thread = SimpleNamespace(parent_thread=threading.main_thread())

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        """A cell that raised stops no other: nbgrader runs with allow_errors."""

    def serve(self, commands: socket.socket) -> NoReturn:
        """Do what the runner says until it hangs up or a cell ends the kernel. Called after the fork."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        status = 1
        try:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            status = loop.run_until_complete(self._serve(commands))
        except BaseException:
            # fd 2 is the cell's own stderr: what the learner sees of a kernel that their code broke
            os.write(2, traceback.format_exc().encode("utf-8", "replace"))
        finally:
            os._exit(status)  # no atexit handler, no thread of theirs, is waited for

    async def _serve(self, commands: socket.socket) -> int:
        self.io_loop = IOLoop.current()
        _wake_for_signals(asyncio.get_running_loop())
        packets = wire.Packets(limit_bytes=1 << 30)
        while True:
            descriptors: list[int] = []
            whole = None
            while whole is None:
                await _readable(commands)
                packet, new, _, _ = socket.recv_fds(commands, wire.PACKET_BYTES + 64, 8)
                if not packet:
                    return 0
                descriptors += new
                whole = packets.feed(packet)
            await self._obey(wire.decode(whole[1]), descriptors)
            if self.shell.exit_now:  # exit() or quit() in a cell ends a kernel
                return 0

    async def _obey(self, command: wire.Message, descriptors: list[int]) -> None:
        if command["do"] == "comm":  # what a front end tells a widget
            message = self.session.msg("comm_msg", command["content"])
            message["buffers"] = []
            self.comm_manager.comm_msg(None, None, message)
            return
        failure: BaseException | None = None
        saved = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if command["do"] == "cell":
                await self._run_cell(command["code"])
            else:
                module, _, name = command["function"].partition(":")
                function = getattr(importlib.import_module(module), name)
                function(self.shell, descriptors, **command["arguments"])
        except (Exception, KeyboardInterrupt) as error:
            failure = error
        finally:
            signal.signal(signal.SIGINT, saved or signal.SIG_IGN)
        if failure is not None:  # not an error in the cell, which IPython shows: one in the kernel around it
            self._tell("error", _as_error(failure))
        self._flush()
        self._tell("idle", {})

    async def _run_cell(self, code: str) -> None:
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        request = self.session.msg("execute_request", content)
        self.set_parent([], request)
        await self.execute_request(None, [], request)

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except (Exception, KeyboardInterrupt):  # a cell put something else there
                continue

    def _tell(self, kind: str, content: dict[str, Any]) -> None:
        try:
            self.outlet.publish(kind, content)
        except KeyboardInterrupt:  # an interrupt that came as the cell ended
            self.outlet.publish(kind, content)


def _as_error(error: BaseException) -> dict[str, Any]:
    lines = traceback.format_exception(error)
    return {"ename": type(error).__name__, "evalue": str(error), "traceback": [line.rstrip() for line in lines]}


async def _readable(end: socket.socket) -> None:
    poll = select.poll()
    poll.register(end, select.POLLIN)
    if poll.poll(0):
        return
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(end, lambda: ready.done() or ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(end)


def _wake_for_signals(loop: asyncio.AbstractEventLoop) -> None:
    """Have a loop that sleeps in a cell's await notice an interrupt at once."""
    read, write = socket.socketpair()
    for end in (read, write):
        end.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
    loop.add_reader(read, read.recv, 4096)
    write.detach()  # open for as long as the process lives


def new_kernel(profile: Path) -> ForkedKernel:
    """A kernel and its shell in this process; `profile` is an empty folder for IPython's own files.

    Starts no thread and opens no socket. It puts its streams, display hook and `__main__` in place, so it is the last
    thing but one that a process does for itself: after this it forks, or serves.
    """
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    outlet = Outlet()
    # debugpy traces frames and forks; nobody debugs here
    absent = "debugpy" not in sys.modules
    if absent:
        sys.modules["debugpy"] = None  # type: ignore[assignment]
    try:
        config = Config()
        config.HistoryManager.hist_file = ":memory:"  # as nbclient asks of a kernel; a file would start a thread
        session = KernelSession(key=b"none", check_pid=False)
        session.outlet = outlet
        sys.stdout = KernelStream(outlet, "stdout", 1)
        sys.stderr = KernelStream(outlet, "stderr", 2)
        kernel = ForkedKernel.instance(
            config=config,
            session=session,
            log=logging.getLogger("ipykernel"),
            profile_dir=ProfileDir.create_profile_dir(str(profile)),
        )
    finally:
        if absent:
            del sys.modules["debugpy"]
    kernel.outlet = outlet
    _as_ipykernel_does(kernel)
    return kernel


def _as_ipykernel_does(kernel: ForkedKernel) -> None:
    """What `IPKernelApp.initialize` does beside sockets and threads."""
    import pdb

    from IPython.core import debugger

    debugger.Pdb = debugger.InterruptiblePdb
    pdb.Pdb = debugger.Pdb  # type: ignore[misc]
    pdb.set_trace = debugger.set_trace
    kernel._execute_sleep = 0.0
    kernel.shell.enable_gui = partial(_enable_gui, kernel)
    sys.displayhook = kernel.shell.displayhook
    sys.argv = ["ipykernel_launcher.py", "-f", "kernel.json", "--HistoryManager.hist_file=:memory:"]
    if "" not in sys.path:  # the learner's own folder, after the standard library and before what is installed
        first = next((i for i, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages"))), 0)
        sys.path.insert(first, "")


def _enable_gui(kernel: ForkedKernel, gui: Any = None) -> None:
    """The shell's own looks for its kernel in an application. Not a subclass: libraries look at the class's name."""
    from ipykernel.eventloops import enable_gui
    from IPython.core.error import UsageError

    try:
        enable_gui(gui, kernel=kernel)
    except ValueError as error:
        raise UsageError(str(error)) from error
    kernel.shell.active_eventloop = gui

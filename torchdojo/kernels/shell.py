"""An IPython kernel without sockets or threads: built before a fork, served after it over two local channels.

It is ipykernel's own kernel and shell; only the way out is ours. Each iopub message goes to `Outlet.publish`, text goes
to the descriptors 1 and 2 it would go to in any program, and the runner (drive.py) puts both in order.
"""

from __future__ import annotations

import asyncio
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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

from ipykernel.compiler import XCachingCompiler
from ipykernel.ipkernel import IPythonKernel
from IPython.core.profiledir import ProfileDir
from tornado.ioloop import IOLoop
from traitlets.config import Config

from torchdojo.kernels import wire
from torchdojo.kernels.outlet import KernelSession, KernelStream, Outlet


class CellCompiler(XCachingCompiler):
    """Names the file of each cell as ipykernel does, and tells `inspect` which module it is.

    Otherwise each traceback looks for it in all modules there are, several times: 0.1 s when torch is imported.
    """

    def get_code_name(self, raw_code: str, code: str, number: int) -> str:
        name: str = super().get_code_name(raw_code, code, number)
        inspect.modulesbyfile[os.path.normcase(os.path.abspath(name))] = "__main__"
        return name


class TransformOnce:
    """`transform_cell` of a shell, which ipykernel asks for twice a cell: tokenizing a long one takes 6 ms."""

    def __init__(self, transform: Callable[[str], str]) -> None:
        self._transform = transform
        self._kept: dict[str, str] = {}

    def forget(self) -> None:
        """Another cell begins, and transformers may have changed."""
        self._kept = {}

    def __call__(self, raw_cell: str) -> str:
        if raw_cell not in self._kept:
            self._kept = {raw_cell: self._transform(raw_cell)}
        return self._kept[raw_cell]


class ForkedKernel(IPythonKernel):
    """ipykernel's kernel, told what to run by a runner. Made by `new_kernel`, before the fork."""

    compiler_class = CellCompiler
    outlet: Outlet
    transform: TransformOnce

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
        self.transform.forget()
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
    loop.add_reader(end, _set, ready)
    try:
        await ready
    finally:
        loop.remove_reader(end)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


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
        kernel: ForkedKernel = ForkedKernel.instance(
            config=config,
            session=session,
            log=logging.getLogger("ipykernel"),
            profile_dir=ProfileDir(location=str(profile)),
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

    for module, name, value in (
        (debugger, "Pdb", debugger.InterruptiblePdb),
        (pdb, "Pdb", debugger.InterruptiblePdb),
        (pdb, "set_trace", debugger.set_trace),
    ):
        setattr(module, name, value)
    kernel._execute_sleep = 0.0
    kernel.transform = kernel.shell.transform_cell = TransformOnce(kernel.shell.transform_cell)
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

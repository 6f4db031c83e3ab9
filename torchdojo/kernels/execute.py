"""`execute(job) -> Result`: run one notebook in a kernel of its own. A job never fails its batch.

Knows no database, no course folder and no nbgrader; any process on any Linux machine may call it.
"""

from __future__ import annotations

import atexit
import math
import os
import shutil
import signal
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from torchdojo.errors import OursError
from torchdojo.kernels.birth import Birth
from torchdojo.kernels.cells import CodeCell, Unreadable, code_cells
from torchdojo.kernels.drive import Kernel, Turn, attend, show_end
from torchdojo.kernels.job import CellResult, Job, JobStatus, Limits, Result
from torchdojo.kernels.lines import KernelNotStarted
from torchdojo.kernels.outputs import NotebookOutputs, error_output
from torchdojo.kernels.sandbox import SandboxSpec
from torchdojo.kernels.warm import Ended, Zygote, ZygoteDied

_NO_LIMITS = Limits(math.inf, math.inf, 0, 0, 0, 0)
_STOPPED = "Grading was stopped. Start it again to go on."
NewZygote = Callable[[Sequence[str]], Zygote]


@dataclass(frozen=True, slots=True)
class Beside:
    """A second kernel of a job, the only thing that it does, and our end of the channel to that."""

    kernel: Kernel
    turn: Turn
    channel: socket.socket


class Session:
    """One job at work: its folders, its kernel, what its cells put out. What a cell runner is given."""

    def __init__(self, job: Job, zygote: Zygote, new_folder: Callable[[], Path]) -> None:
        self.job = job
        self.outputs = NotebookOutputs()
        self.until_s = time.monotonic() + job.limits.notebook_timeout_s
        self.cpu_s = 0.0
        self.why_gone = ""  # a sentence, once the kernel is gone
        self.ran: list[CodeCell] = []  # in the kernel, to their end, since it was started
        self.over = False  # no other kernel will be started
        self.ended_in_a_cell = ""  # a sentence, if a kernel has, whatever came after
        self._zygote = zygote
        self._new_folder = new_folder
        self._folder = new_folder()
        self._beside: Beside | None = None
        _unpack(job.files, self._folder)
        self.kernel = self._start(self._folder, job.limits, self.outputs)

    def _start(self, folder: Path, watched: Limits, outputs: NotebookOutputs) -> Kernel:
        job, limits = self.job, self.job.limits
        spec = SandboxSpec(
            folder=str(folder),
            level=job.sandbox,  # type: ignore[arg-type]  # it refuses what is no level
            read_only=job.read_only,
            environment=job.environment,
            size_mib=limits.disk_mib,
            # less than the whole, so that a file cut off at its limit does not take the disk's with it
            file_mib=max(limits.disk_mib - 1, 1) if limits.disk_mib > 0 else 0,
            processes=limits.processes,
            # an allocation that is too large raises, and the cell says where; CUDA maps far more than it uses
            data_mib=limits.memory_mib if job.device == "cpu" else 0,
            cuda=job.device == "cuda",
        )
        birth = Birth(spec.to_plain(), job.device, job.gpu_share, job.threads, job.seed)
        return Kernel(self._zygote, birth, watched, outputs)

    def beside(self, function: str) -> Beside:
        """A second kernel of the job, in a folder and sandbox of its own, where no cell runs. The same at each call.

        All that it does is to call `function`, "module:name", with its end of a channel as descriptor. What it puts
        out is nobody's, and it has no limit: the first kernel's are on the whole job, and time is the caller's.
        """
        if self._beside is None or self._beside.turn.done:
            self._let_go_beside()
            kernel = self._start(self._new_folder(), _NO_LIMITS, NotebookOutputs())
            ours, theirs = socket.socketpair()
            with theirs:
                call = {"do": "call", "function": function, "arguments": {}}
                turn = kernel.start_turn(0, call, math.inf, [theirs.fileno()])
            self._beside = Beside(kernel, turn, ours)
        return self._beside

    def _let_go_beside(self) -> None:
        if self._beside is not None:
            self._beside.channel.close()
            self._beside.kernel.close()
            self._beside = None

    def restart_kernel(self) -> None:
        """Another kernel in the place of this one, in the same folder; nothing has run in it."""
        self.end_kernel()
        self.why_gone, self.ran = "", []
        self.kernel = self._start(self._folder, self.job.limits, self.outputs)

    def close(self) -> None:
        """Let go of the kernels; their processes are the zygote's to end."""
        self.kernel.close()
        self._let_go_beside()

    def end_kernel(self) -> Ended:
        """End the kernel and all that it started. The one beside it goes on."""
        self.kernel.close()
        beside = self._beside
        ended = self._zygote.end(self.kernel.pid, [beside.kernel.pid] if beside is not None else [])
        self.cpu_s += ended.cpu_s
        return ended

    def end(self) -> None:
        """End both kernels, and all that they started."""
        self.close()
        self.cpu_s += self._zygote.end().cpu_s


CellRunner = Callable[[Session, CodeCell], CellResult]
RunnerOf = Callable[[Session, CodeCell], CellRunner]


def run_in_kernel(session: Session, cell: CodeCell) -> CellResult:
    """Run a cell in the job's kernel, as nbclient would. Its outputs are gathered by the session.

    Raises:
        ZygoteDied
    """
    kernel, outputs = session.kernel, session.outputs
    if session.why_gone:
        outputs.begin(cell.index)
        outputs.add(error_output("CellNotRun", f"This cell did not run. {session.why_gone}"))
        return CellResult(cell.index)
    turn = kernel.start_turn(cell.index, {"do": "cell", "code": cell.source}, session.until_s)
    while not turn.done:
        attend([kernel])
    died = ""
    if kernel.gone:
        died = session.why_gone = end_of_kernel(session, turn)
        session.ended_in_a_cell = session.ended_in_a_cell or died
    elif turn.stop is not None and turn.stop.limit == "notebook_timeout_s":
        session.why_gone = turn.stop.sentence
    else:
        session.ran.append(cell)
    show_end(outputs, turn, died)
    return CellResult(cell.index, seconds=turn.seconds, stop=turn.stop)


def end_of_kernel(session: Session, turn: Turn | None) -> str:
    """Clear away a kernel that is gone, and say how it ended: by the limit that stopped `turn`, or by itself."""
    died = _how_it_died(session.end_kernel())
    return turn.stop.sentence if turn is not None and turn.stop else died


def run_everything_in_kernel(session: Session, cell: CodeCell) -> CellRunner:
    """Refuses a job with cells that the kernel must not see.

    Raises:
        OursError
    """
    if session.job.isolated:
        raise OursError("This job's grade cells are for a checker, and this runner has none. Give it `runner_of`.")
    return run_in_kernel


class Runner:
    """Executes jobs, one after the other, each in a kernel forked from one zygote.

    `runner_of` says, for each code cell, what runs it: the seam for a checker that judges grade cells elsewhere.
    `new_zygote` is called, with the modules to import, when there is no zygote, or not the right one.
    """

    def __init__(self, runner_of: RunnerOf = run_everything_in_kernel, new_zygote: NewZygote = Zygote.start) -> None:
        self.pid = os.getpid()
        self._runner_of = runner_of
        self._new_zygote = new_zygote
        self._zygote: Zygote | None = None
        self._stopped = False

    def execute(self, job: Job) -> Result:
        """Run a job's notebook. Whatever happens, a Result comes back."""
        start = time.monotonic()
        try:
            result = self._execute(job)
        except Exception as error:
            result = Result(job.key, JobStatus.OURS, sentence=_STOPPED if self._stopped else _ours(error))
        return replace(result, seconds=time.monotonic() - start, device=job.device)

    def _execute(self, job: Job) -> Result:
        try:
            cells = code_cells(job.notebook)
        except Unreadable as error:
            return Result(job.key, JobStatus.UNREADABLE, sentence=str(error))
        for _ in range(2):
            at_fault = False
            try:
                zygote = self._zygote_for(job)
                with ExitStack() as folders:
                    session = Session(job, zygote, lambda: folders.enter_context(_folder_of_a_job()))
                    at_fault = True  # from here on it is the notebook's doing
                    return self._run(session, cells)
            except ZygoteDied as error:
                self._let_go()
                last = error
            except KernelNotStarted as error:
                self._let_go()
                return Result(job.key, JobStatus.OURS, sentence=f"The kernel did not start: {error}")
            if self._stopped:
                return Result(job.key, JobStatus.OURS, sentence=_STOPPED)
        if not at_fault:
            raise OursError(f"The warm parent ended twice before the notebook ran ({last}). Start again.")
        sentence = f"The notebook ended the process that its kernel comes from, twice ({last}). Look for os.kill."
        return Result(job.key, JobStatus.DIED, sentence=sentence)

    def _run(self, session: Session, cells: Sequence[CodeCell]) -> Result:
        try:
            results = [self._runner_of(session, cell)(session, cell) for cell in cells]
        except BaseException:
            self._let_go()  # and with it the kernel, which is still running
            raise
        finally:
            session.close()
        try:
            session.end()
        except ZygoteDied:  # something would not die; what the cells put out stands
            self._let_go()
        outputs = session.outputs
        return Result(
            session.job.key,
            _status(session, results),
            tuple(
                replace(r, outputs=tuple(outputs.cells[r.index]), execution_count=outputs.counts[r.index])
                if r.judged_in_kernel
                else r
                for r in results
            ),
            sentence=_sentence(session, results),
            cpu_s=session.cpu_s,
            widgets=outputs.widgets.metadata(),
        )

    def _zygote_for(self, job: Job) -> Zygote:
        if self._stopped:
            raise ZygoteDied("the runner was stopped")
        if self._zygote is not None and not self._zygote.modules.issuperset(job.preload):
            wanted = [*self._zygote.modules, *job.preload]
            self._let_go()
            self._zygote = self._new_zygote(wanted)
        if self._zygote is None:
            self._zygote = self._new_zygote(job.preload)
        return self._zygote

    def _let_go(self) -> None:
        zygote, self._zygote = self._zygote, None
        if zygote is not None:
            zygote.close()
            zygote.tree.kill_members()

    def stop(self) -> None:
        """End the job at work, from another thread: its `execute` returns at once, not graded."""
        self._stopped = True
        zygote = self._zygote
        if zygote is not None:
            zygote.kill()

    def close(self) -> None:
        """End the zygote. A forked copy of a runner leaves the original's alone."""
        if os.getpid() == self.pid:
            self._let_go()


_mine = threading.local()


def use_runner(runner: Runner) -> None:
    """Have `execute` use this runner in the calling thread. A pool calls it once in each of its threads."""
    _mine.runner = runner


def execute(job: Job) -> Result:
    """Run a job's notebook in this thread's runner, which is made at first need and kept.

    Importing torch costs seconds and a fork of a process that has it, hundredths; so the process that has it is kept
    between calls, as a connection would be. It holds nothing of a job: `execute` is a pure function of `job`, and any
    thread, process or Dask worker may call it.
    """
    runner: Runner | None = getattr(_mine, "runner", None)
    if runner is None or runner.pid != os.getpid():  # none yet, or that of the process this one was forked from
        runner = Runner()
        atexit.register(runner.close)
        use_runner(runner)
    return runner.execute(job)


def _status(session: Session, results: Sequence[CellResult]) -> JobStatus:
    if any(result.stop for result in results):
        return JobStatus.STOPPED
    return JobStatus.DIED if session.why_gone or session.ended_in_a_cell else JobStatus.COMPLETED


def _sentence(session: Session, results: Sequence[CellResult]) -> str:
    stops = (result.stop.sentence for result in results if result.stop)
    return session.why_gone or session.ended_in_a_cell or next(stops, "")


def _how_it_died(ended: Ended) -> str:
    if ended.signal:
        name = signal.strsignal(ended.signal) or "unknown"
        return f"The kernel was killed by signal {ended.signal} ({name}) in this cell. Look for what crashes it."
    if ended.exit is not None:
        return f"This cell ended its own kernel (exit status {ended.exit}). Remove exit(), quit() or os._exit()."
    return "The kernel ended in this cell. Look for what ends or cuts off the process."


def _ours(error: Exception) -> str:
    if isinstance(error, OursError):
        return str(error)
    return f"The runner failed: {type(error).__name__}: {error}. This is a fault of torchdojo; please report it."


def _unpack(files: Sequence[tuple[str, bytes]], folder: Path) -> None:
    for name, content in files:
        relative = PurePosixPath(name)
        if relative.is_absolute() or ".." in relative.parts or not relative.parts:
            raise OursError(f"A job's file may only lie beside its notebook, not at {name!r}.")
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@contextmanager
def _folder_of_a_job() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="torchdojo-job-"))
    try:
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a job's folder, also where a cell took permissions away."""
    shutil.rmtree(folder, ignore_errors=True)
    if not folder.exists():
        return
    for path, folders, _ in os.walk(folder):
        for name in folders:
            with suppress(OSError):
                os.chmod(os.path.join(path, name), stat.S_IRWXU, follow_symlinks=False)
    shutil.rmtree(folder, ignore_errors=True)

"""What a warm parent imports ahead, so that the processes forked from it need not."""

from __future__ import annotations

import ast
import importlib
import io
import os
import re
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from torchdojo.grade_cell import parsed

# torch imports these at first use: `_dynamo` when the first optimizer is made (2.5 s of CPU), the others in checks.
_WITH_TORCH = tuple(f"torch.{name}" for name in ("_dynamo", "testing", "utils.data", "_subclasses"))
_EXTENSION = re.compile(r"^\s*%load_ext\s+([\w.]+)", re.MULTILINE)
_MAGIC = re.compile(r"^([ \t]*)[%!?].*", re.MULTILINE)
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def modules_in(sources: Iterable[str]) -> list[str]:
    """Names of the modules that cells import, in order, each once; a cell that is not Python and magics is skipped."""
    names: dict[str, None] = {}
    for source in sources:
        names.update(dict.fromkeys(_EXTENSION.findall(source)))
        try:
            tree = parsed(_MAGIC.sub(r"\1pass", source))
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(dict.fromkeys(alias.name for alias in node.names))
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names[node.module] = None
    return list(names)


def one_thread() -> None:
    """Keep every thread pool at one thread. Call before torch or numpy is imported, in a process that will fork.

    A process that ran one torch operation on two threads forks children that hang (measured, docs/why.md).
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = "1"


def preload(modules: Iterable[str]) -> list[str]:
    """Import `modules` and what torch puts off; start no thread, touch no GPU. Returns those it cannot import."""
    missing = []
    shown = warnings.showwarning
    warnings.showwarning = lambda *_args, **_named: None  # not catch_warnings: filters that libraries add must stay
    try:
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception:  # a learner's own module, or one that is not installed: the cell itself will say so
                missing.append(name)
        if "torch" in sys.modules:
            for name in _WITH_TORCH:
                importlib.import_module(name)
            sys.modules["torch"].set_num_threads(1)
            _walk_back_once(sys.modules["torch"])
    finally:
        warnings.showwarning = shown
    return missing


def warm_up(shell: Any) -> None:
    """Do once what the first error, result, figure and random number cost every kernel anew.

    `shell` is an IPython shell. Leaves no trace in its namespace or history.
    """
    try:
        compile("1 +", "<warm-up>", "exec")
    except SyntaxError as error:
        shell.SyntaxTB.structured_traceback(SyntaxError, error, None)
    try:
        _raise()
    except ZeroDivisionError as error:
        shell.InteractiveTB.structured_traceback(ZeroDivisionError, error, error.__traceback__, tb_offset=1)
    shell.display_formatter.format([1.0])
    _loop_once()
    importlib.import_module("IPython.core.logger")  # at the first cell
    if "matplotlib.pyplot" in sys.modules:
        importlib.import_module("IPython.core.pylabtools")
        _draw_once()
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def _walk_back_once(torch: Any) -> None:
    """Have autograd's engine count its devices now, while there are none.

    Where no GPU can be used, torch 2.14 believes in eight of them after an export or a compilation, and then the first
    `backward()` of a fork of that process may abort it ("Invalid thread pool", 46 of 60 times in a bare trial). With a
    GPU it would start a thread here, and nothing may.
    """
    if not torch.cuda.is_available():
        torch.ones(1, requires_grad=True).sum().backward()


def _raise() -> float:
    return 1 / 0


def _loop_once() -> None:
    import asyncio

    from tornado.ioloop import IOLoop

    async def nothing() -> None:
        IOLoop.current()

    loop = asyncio.new_event_loop()
    loop.run_until_complete(nothing())
    loop.close()


def _draw_once() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label="$x$")
    axes.set_title("warm-up")
    axes.legend()
    figure.savefig(io.BytesIO(), format="png", bbox_inches="tight")

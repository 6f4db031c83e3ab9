"""What a warm parent imports ahead, so that the processes forked from it need not."""

from __future__ import annotations

import ast
import importlib
import os
import sys
import warnings
from collections.abc import Iterable

# torch imports these at first use: `_dynamo` when the first optimizer is made (2.5 s of CPU), the others in checks.
_WITH_TORCH = ("torch._dynamo", "torch.testing", "torch.utils.data", "torch._subclasses", "torch.utils._python_dispatch")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def modules_in(sources: Iterable[str]) -> list[str]:
    """Names of the modules that cells import, in order, each once; a cell that is not plain Python is skipped."""
    names: dict[str, None] = {}
    for source in sources:
        try:
            tree = ast.parse(source)
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
    """Import `modules` and what torch puts off; start no thread, touch no GPU. Returns those that cannot be imported."""
    missing = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            try:
                importlib.import_module(name)
            except Exception:  # a learner's own module, or one that is not installed: the cell itself will say so
                missing.append(name)
        if "torch" in sys.modules:
            for name in _WITH_TORCH:
                importlib.import_module(name)
            sys.modules["torch"].set_num_threads(1)
    return missing

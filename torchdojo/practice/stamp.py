"""What a warm server was started from. When it has changed, what the server holds in memory is old."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import torchdojo
from torchdojo.kernels.surroundings import clean_environment


def stamp() -> str:
    """Versions, the times of torchdojo's and torch's files, and what student code would see of the environment.

    Imports nothing of what it looks at: `torch` is found, and its version's file is looked at.
    """
    environment = clean_environment()
    environment.pop("VIRTUAL_ENV", None)  # two terminals may differ in it, and sys.executable says more
    told = [torchdojo.__version__, sys.version, sys.executable, repr(sorted(environment.items()))]
    told += [f"{path} {_changed_ns(path)}" for path in _looked_at()]
    return hashlib.sha256("\n".join(told).encode("utf-8", "surrogateescape")).hexdigest()


def _looked_at() -> Iterator[str]:
    package = Path(torchdojo.__file__).parent
    for folder, folders, names in os.walk(package):
        folders[:] = sorted(name for name in folders if name != "__pycache__")
        yield from (os.path.join(folder, name) for name in sorted(names) if name.endswith(".py"))
    found = importlib.util.find_spec("torch")
    if found is not None and found.origin:
        torch = os.path.dirname(found.origin)
        yield os.path.join(torch, "version.py")
        yield os.path.dirname(torch)  # site-packages: whatever is installed or taken away changes it


def _changed_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0

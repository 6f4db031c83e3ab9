"""Torchdojo: an auto-graded PyTorch course, and the grader that it needs.

A grade cell imports `check` from here; everything else lives in the folders below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torchdojo.checks import check

__all__ = ["check"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Lazily: `torchdojo --help` must not pay for pytest.
    if name == "check":
        from torchdojo.checks import check

        return check
    raise AttributeError(f"module 'torchdojo' has no attribute {name!r}")

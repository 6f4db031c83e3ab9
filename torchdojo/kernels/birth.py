"""What a runner tells the zygote about a kernel to be forked: plain data, light to import on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new kernel is told. Crosses to the zygote as JSON.

    `environment` is added to the zygote's. `sandbox` is what `torchdojo.kernels.sandbox.enter` is given, or None for
    none. Limits of zero or less are none.
    """

    folder: str
    temporary: str
    environment: Mapping[str, str] = field(default_factory=dict)
    device: str = "cpu"
    threads: int = 1
    seed: int = 0
    memory_mib: int = 0
    file_mib: int = 0
    processes: int = 0
    sandbox: Mapping[str, Any] | None = None

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it; `Birth(**plain)` is the way back."""
        return asdict(self)

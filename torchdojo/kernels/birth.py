"""What a runner tells the zygote about a kernel to be forked: plain data, light to import on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Birth:
    """What a new kernel is told. Crosses to the zygote as JSON.

    `sandbox` is a `SandboxSpec` in plain form.
    """

    sandbox: Mapping[str, Any]
    device: str = "cpu"
    gpu_share: float = 1.0
    threads: int = 1
    seed: int = 0

    def to_plain(self) -> dict[str, Any]:
        """As JSON has it; `Birth(**plain)` is the way back."""
        return asdict(self)

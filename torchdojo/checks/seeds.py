"""Random numbers of Python, NumPy and torch: started from a seed before each test, given back afterwards."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def random_state_kept() -> Iterator[None]:
    """Give back, at the end, the random states that were there at the start."""
    python = random.getstate()
    numpy = sys.modules.get("numpy")
    torch = sys.modules.get("torch")
    numpy_state = numpy.random.get_state() if numpy else None
    torch_state = torch.get_rng_state() if torch else None
    try:
        yield
    finally:
        random.setstate(python)
        if numpy:
            numpy.random.set_state(numpy_state)
        if torch:
            torch.set_rng_state(torch_state)


def seed_everything(seed: int) -> None:
    """Start the random numbers of this process from `seed`; of libraries that are imported, no other."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes 1 ms more to record a traceback for CUDA
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)

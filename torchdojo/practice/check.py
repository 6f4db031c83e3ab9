"""`torchdojo check`: a learner's notebook, judged by the course's own tests. Writes to no gradebook."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torchdojo.practice.request import Request
from torchdojo.practice.voice import Voice


def check(request: Request, voice: Voice, *, keep: bool = True) -> int:
    """Judge what was asked for and say it; returns the exit status: 0 all right, 1 not yet, 3 a test itself failed.

    Args:
        request: the notebook and the exercises.
        voice: what says it.
        keep: by the warm server, which is started if there is none; otherwise in this process, which then ends.

    Raises:
        TorchdojoError: nothing could be judged; its `exit_status` says whose fault it is.
    """
    if keep:
        from torchdojo.practice.warm_client import ask

        ask(request, voice.hear)
    else:
        _judge_here(request, voice.hear)
    return voice.finish()


def _judge_here(request: Request, hear: Callable[[dict[str, Any]], None]) -> None:
    from torchdojo.kernels.execute import Runner
    from torchdojo.kernels.sandbox_probe import probe
    from torchdojo.practice.judging import Judging
    from torchdojo.practice.prepare import prepare

    prepared = prepare(request, probe)
    judging = Judging(prepared, hear)
    hear({"event": "at", "sentence": f"importing what {prepared.assignment} needs"})
    runner = Runner(judging.runner_of)
    try:
        result = runner.execute(prepared.job)
    finally:
        runner.close()
    judging.finish(result)

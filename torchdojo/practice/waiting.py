"""Says on stderr what is being waited for, once that takes longer than a learner would like."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.status import Status

PATIENCE_S = 2.0
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what a terminal would take for commands


def inert(text: str) -> str:
    """A learner's text as any terminal can show it, and do nothing else."""
    return _CONTROL.sub("�", text).encode("utf-8", "replace").decode()


class Waiting:
    """On a terminal, a line that changes and goes away; elsewhere, one plain line."""

    def __init__(self) -> None:
        self._sentence = "starting"
        self._status: Status | None = None
        self._over = False
        self._lock = threading.Lock()
        self._timer = threading.Timer(PATIENCE_S, self._show)
        self._timer.daemon = True
        self._timer.start()

    def say(self, sentence: str) -> None:
        """It waits for something else now."""
        with self._lock:
            self._sentence = inert(sentence)
            if self._status is not None:
                self._status.update(_plain(self._sentence))

    @contextmanager
    def silenced(self) -> Iterator[None]:
        """Something else is printed now, and nothing of ours among it."""
        with self._lock:
            if self._status is not None:
                self._status.stop()
            yield
            if self._status is not None:
                self._status.start()

    def stop(self) -> None:
        """There is nothing to wait for any more."""
        self._timer.cancel()
        with self._lock:
            self._over = True
            if self._status is not None:
                self._status.stop()
                self._status = None

    def _show(self) -> None:
        """Called by the timer, in its thread."""
        with self._lock:
            if self._over:
                return
            if not sys.stderr.isatty():
                click.echo(f"{self._sentence} …", err=True)
                return
            from rich.console import Console

            self._status = Console(stderr=True).status(_plain(self._sentence))
            self._status.start()


def _plain(sentence: str) -> str:
    return sentence.replace("[", "\\[")  # rich would read it as markup

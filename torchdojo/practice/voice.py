"""What is said of a check: tables and lines of JSON on stdout, talk on stderr, the exit status. Judges nothing."""

from __future__ import annotations

import json
import os
import re
from typing import Any

import click

from torchdojo.practice.waiting import Waiting, inert

_COLOURS = {"✓": "green", "✗": "red", "⚡": "red", "!": "yellow", "○": "bright_black", "–": "bright_black"}
_SIGN = re.compile(rf"^(\s*)([{''.join(_COLOURS)}]) ")


class Voice:
    """Hears the events of one check (see judging) and says what a learner needs to know.

    `typed` is what was typed to name the notebook: the next command is told in the same words.
    """

    def __init__(self, typed: str, *, as_json: bool = False) -> None:
        self._typed = typed
        self._as_json = as_json
        self._colours = "NO_COLOR" not in os.environ
        self._judged: list[dict[str, Any]] = []
        self._raised: list[dict[str, Any]] = []
        self._following = ""
        self._waiting = Waiting()

    def __enter__(self) -> Voice:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.stop()

    def hear(self, event: dict[str, Any]) -> None:
        """Called with each event, in order."""
        kind = event["event"]
        if kind == "at":
            self._waiting.say(event["sentence"])
            return
        with self._waiting.silenced():
            if kind == "raised":
                self._raised.append(event)
                self._say(f"⚡ {event['cell']} raised {event['error']}", err=self._as_json)
            elif kind == "exercise":
                self._judged.append(event)
                self._show(event)
            elif kind == "end":
                self._following = event["following"]
                if event["note"]:
                    self._say(event["note"], err=True)

    def finish(self) -> int:
        """Say the last line; return the exit status."""
        self._waiting.stop()
        faulty = [event for event in self._judged if _is_faulty(event)]
        open_ones = [event for event in self._judged if not _is_faulty(event) and not _is_passed(event)]
        points = sum(event["points"] for event in self._judged)
        whole = sum(event["max_points"] for event in self._judged)
        advice = self._after_fault(faulty[0]) if faulty else self._next(open_ones)
        self._say(f"{points:g} of {whole:g} points. {advice}", err=self._as_json)
        return 3 if faulty else 1 if open_ones else 0

    def _show(self, event: dict[str, Any]) -> None:
        if self._as_json:
            keys = ("exercise", "points", "max_points", "outcomes", "sentence")
            click.echo(json.dumps({key: event[key] for key in keys}, ensure_ascii=False).encode("utf-8", "replace"))
            return
        self._say(event["exercise"], bold=True)
        for line in event["text"].splitlines():
            self._say(line)
        self._say("")

    def _say(self, text: str, *, err: bool = False, bold: bool = False) -> None:
        text = inert(text)
        sign = _SIGN.match(text)
        if sign and self._colours:
            text = f"{sign[1]}{click.style(sign[2], fg=_COLOURS[sign[2]])} {text[sign.end() :]}"
        elif bold and self._colours:
            text = click.style(text, bold=True)
        click.echo(text, err=err)

    def _after_fault(self, event: dict[str, Any]) -> str:
        failed = [each["name"] for each in event["outcomes"] if each["verdict"] == "grader failed"]
        what = (
            f"{failed[0]} of {event['exercise']} itself failed" if failed else f"{event['exercise']} {event['fault']}"
        )
        return f"{what}: that is not your fault. Please report it to the course's author."

    def _next(self, open_ones: list[dict[str, Any]]) -> str:
        if not open_ones:
            following = f" Next: {self._following}." if self._following else ""
            return f"All that you asked for is right.{following}"
        event = open_ones[0]
        name = event["exercise"]
        again = f"Then: torchdojo check {self._typed} {name}"
        raised = next((each for each in self._raised if each["exercise"] == name), None)
        if raised is None and event["sentence"]:
            raised = next(iter(self._raised), None)
        if raised is not None:
            return f"Next: mend {raised['cell']}, which raised. {again}"
        verdicts = {each["verdict"] for each in event["outcomes"]}
        if verdicts and verdicts <= {"not attempted", "skipped"}:
            return f"Next: write {name}. {again}"
        first = next((each for each in event["outcomes"] if each["verdict"] in ("wrong", "raised")), None)
        return f"Next: {name}: {first['title'] if first else event['sentence']} {again}"


def _is_faulty(event: dict[str, Any]) -> bool:
    return bool(event["fault"]) or any(each["verdict"] == "grader failed" for each in event["outcomes"])


def _is_passed(event: dict[str, Any]) -> bool:
    """A test that could not run here, for want of a GPU, stands in nobody's way."""
    return not event["sentence"] and all(each["verdict"] in ("passed", "not run") for each in event["outcomes"])

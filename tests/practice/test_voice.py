"""What a learner reads and a program parses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from torchdojo.practice.voice import Voice
from torchdojo.practice.waiting import Waiting, inert


def outcome(verdict: str, **more: str) -> dict[str, str]:
    """One test's outcome."""
    return {
        "name": "test_x",
        "title": "The rule.",
        "verdict": verdict,
        "message": "",
        "expected": "",
        "got": "",
        **more,
    }


def exercise(*verdicts: str, points: float = 0, fault: str = "", sentence: str = "") -> dict[str, Any]:
    """What is told of the exercise `mean`, worth 2 points."""
    return {
        "event": "exercise",
        "exercise": "mean",
        "points": points,
        "max_points": 2,
        "outcomes": [outcome(verdict) for verdict in verdicts],
        "sentence": sentence,
        "fault": fault,
        "text": "the table",
    }


END = {"event": "end", "following": "median", "note": ""}


def said(capsys: pytest.CaptureFixture[str], *events: dict[str, Any], as_json: bool = False) -> tuple[int, str, str]:
    """Exit status, stdout, stderr."""
    with Voice("book.ipynb", as_json=as_json) as voice:
        for event in (*events, END):
            voice.hear(event)
        status = voice.finish()
    return status, *capsys.readouterr()


@pytest.mark.parametrize(
    ("event", "status", "last"),
    [
        (exercise("passed", points=2), 0, "2 of 2 points. All that you asked for is right. Next: median."),
        (exercise("passed", "not run", points=2), 0, "2 of 2 points. All that you asked for is right. Next: median."),
        (exercise("not attempted", "skipped"), 1, "0 of 2 points. Next: write mean. Then: AGAIN"),
        (exercise("passed", "wrong", points=1), 1, "1 of 2 points. Next: mean: The rule. Then: AGAIN"),
        (exercise("raised"), 1, "0 of 2 points. Next: mean: The rule. Then: AGAIN"),
        (
            exercise("grader failed", "wrong"),
            3,
            "0 of 2 points. test_x of mean itself failed: that is not your fault. "
            "Please report it to the course's author.",
        ),
        (
            exercise(fault="could not be judged: it ended"),
            3,
            "0 of 2 points. mean could not be judged: it ended: that is not your fault. "
            "Please report it to the course's author.",
        ),
    ],
)
def test_last_line(capsys: pytest.CaptureFixture[str], event: dict[str, Any], status: int, last: str) -> None:
    """The last line has the total and one thing to do next; the exit status says the same."""
    got, out, _ = said(capsys, event)
    assert (got, out.splitlines()[-1]) == (status, last.replace("AGAIN", "torchdojo check book.ipynb mean"))


def test_json_is_all_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, stdout has one line an exercise and nothing else; what a person reads goes to stderr."""
    raised = {"event": "raised", "cell": "cell 3 (mean)", "exercise": "mean", "error": "NameError: x"}
    status, out, err = said(capsys, raised, exercise("wrong"), as_json=True)
    told = json.loads(out)
    assert (status, told["exercise"], told["points"], told["max_points"]) == (1, "mean", 0, 2)
    assert told["outcomes"] == [outcome("wrong")]
    assert "text" not in told
    assert "⚡ cell 3 (mean) raised NameError: x" in err
    assert "Next: mend cell 3 (mean), which raised." in err


def test_a_note_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """What is not as the course would have it is said on stderr."""
    with Voice("book.ipynb") as voice:
        voice.hear({**END, "note": "It runs on the CPU."})
    assert capsys.readouterr().err == "It runs on the CPU.\n"


def test_no_color(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Signs have colours on a terminal, and none with NO_COLOR."""
    monkeypatch.setattr("torchdojo.practice.voice.click.echo", lambda text, err=False: print(text))
    event = {**exercise("passed", points=2), "text": "  ✓ The rule."}
    assert "\x1b[32m✓\x1b[0m The rule." in said(capsys, event)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in said(capsys, event)[1]


def test_terminal_is_told_no_commands() -> None:
    """What a learner's code put into a message cannot move the cursor, and is printable in any case."""
    assert inert("a\x1b[2J\x07b\udc80\tc") == "a�[2J�b?\tc"


def test_waiting_is_said_once_it_is_long(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A quick check says nothing of waiting; a slow one, in a file, says in one line what it waits for."""
    monkeypatch.setattr("torchdojo.practice.waiting.PATIENCE_S", 3600)
    quick = Waiting()
    quick.say("warming up")
    quick.stop()
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("torchdojo.practice.waiting.PATIENCE_S", 0)
    slow = Waiting()
    slow._timer.join()
    slow.say("something else")
    slow.stop()
    assert capsys.readouterr().err == "starting …\n"

"""The coordinator's own record of what was graded, from what, and how it ended: `.torchdojo/journal.sqlite`.

A submission counts as graded only when this says so. The gradebook and the folder `autograded/` are written before;
a run killed in between leaves a submission that is not graded, and the next run grades it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from torchdojo.errors import OursError
from torchdojo.grading.inputs import Inputs, versions
from torchdojo.grading.status import Graded, NotebookGrade, SlowCell, Status

_FORMAT = 1
_TABLE = """
CREATE TABLE IF NOT EXISTS submission (
    gradebook TEXT, assignment TEXT, student TEXT,
    recorded INTEGER NOT NULL,      -- 1: what follows stands in the gradebook and in autograded/
    submission_id TEXT,             -- the gradebook's own key: another one means another gradebook
    status TEXT, sentence TEXT,
    inputs TEXT,                    -- JSON: by notebook, hashes of submission, tests, judge
    grade TEXT,                     -- JSON: the rest of `Graded`
    versions TEXT, at TEXT,         -- UTC, ISO 8601
    PRIMARY KEY (gradebook, assignment, student)
)
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the journal says of one submission."""

    graded: Graded
    inputs: Mapping[str, Inputs]
    submission_id: str | None
    versions: str
    at: str


class Journal:
    """The journal of one course for one gradebook. Open it in one process at a time for writing.

    Raises: OursError where its file cannot be read or written, with what to do.
    """

    def __init__(self, state: Path, gradebook: str) -> None:
        self.path = state / "journal.sqlite"
        self.gradebook = gradebook
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            known = self._db.execute("PRAGMA user_version").fetchone()[0]
            if known not in (0, _FORMAT):
                raise OursError(f"{self.path}: format {known}, expected {_FORMAT}. Use the torchdojo that wrote it.")
            self._db.execute(_TABLE)
            self._db.execute(f"PRAGMA user_version = {_FORMAT}")
        except (sqlite3.Error, OSError) as error:
            raise _cannot(self.path, error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def entries(self, assignment: str) -> dict[str, Entry]:
        """What is known of an assignment, by student."""
        rows = self._do(
            "SELECT student, recorded, submission_id, status, sentence, inputs, grade, versions, at FROM submission"
            " WHERE gradebook = ? AND assignment = ? ORDER BY student",
            (self.gradebook, assignment),
        )
        return {row[0]: _entry(assignment, *row) for row in rows}

    def reopen(self, assignment: str, students: Iterable[str]) -> None:
        """From here on these count as not graded, until `write` says otherwise."""
        self._do("BEGIN IMMEDIATE")
        for student in students:
            self._do(
                "INSERT INTO submission (gradebook, assignment, student, recorded, status, sentence)"
                " VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT DO UPDATE SET recorded = 0",
                (self.gradebook, assignment, student, Status.OURS, "Not graded yet. Type `torchdojo autograde` again."),
            )
        self._do("COMMIT")

    def write(self, graded: Graded, inputs: Mapping[str, Inputs], submission_id: str | None) -> None:
        """How a submission ended. With `recorded`, this makes its grade stand."""
        self._do(
            "REPLACE INTO submission VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self.gradebook,
                graded.assignment,
                graded.student,
                int(graded.recorded),
                submission_id,
                graded.status,
                graded.sentence,
                json.dumps({name: asdict(each) for name, each in inputs.items()}),
                json.dumps(asdict(graded)),
                ", ".join(versions()),
                datetime.now(UTC).isoformat(timespec="seconds"),
            ),
        )

    def _do(self, statement: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise _cannot(self.path, error) from error


def _entry(assignment: str, student: str, recorded: int, *rest: Any) -> Entry:
    submission_id, status, sentence, inputs, grade, by, at = rest
    graded = Graded(assignment, student, Status(status), sentence)
    if grade:
        graded = graded_from(json.loads(grade) | {"recorded": bool(recorded)})
    named = {name: Inputs(**each) for name, each in json.loads(inputs or "{}").items()}
    return Entry(graded, named, submission_id, by or "", at or "")


def graded_from(fields: Mapping[str, Any]) -> Graded:
    """A `Graded` back from `dataclasses.asdict` and JSON."""
    notebooks = tuple(_notebook_from(each) for each in fields["notebooks"])
    return Graded(**(dict(fields) | {"status": Status(fields["status"]), "notebooks": notebooks}))


def _notebook_from(fields: Mapping[str, Any]) -> NotebookGrade:
    lists = {name: tuple(fields[name]) for name in ("notes", "left_open", "judged_in_kernel")}
    slowest = fields["slowest"] and SlowCell(**fields["slowest"])
    return NotebookGrade(**(dict(fields) | lists | {"status": Status(fields["status"]), "slowest": slowest}))


def _cannot(path: Path, error: Exception) -> OursError:
    what = str(error)
    if "full" in what or "No space" in what:
        remedy = "Free some space on this disk, then type the same command again."
    elif "locked" in what:
        remedy = "Another torchdojo is at work in this course. Let it finish first."
    else:
        remedy = "Make it and its folder writable, or delete it: then everything is graded again."
    return OursError(f"{path}: {what}. {remedy}")

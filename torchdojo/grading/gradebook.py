"""nbgrader's gradebook, opened twice for a batch: one that reads the assignment once, one that writes.

The writer holds nbgrader's own commits back until a submission is complete: all of its rows stand, or none.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from nbgrader.api import (
    BaseCell,
    Comment,
    Grade,
    Gradebook,
    MissingEntry,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
    new_uuid,
)
from nbgrader.utils import parse_utc
from sqlalchemy import insert, make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from torchdojo.errors import OursError

_TRY_S = 1.0  # how long SQLite itself waits for a lock before we look at who holds it


def _impatient(db_url: str) -> str:
    """The same database, with a short wait for SQLite's locks: `patiently` waits, and can be interrupted."""
    url = make_url(db_url)
    if url.get_backend_name() == "sqlite" and "timeout" not in url.query:
        url = url.update_query_dict({"timeout": str(_TRY_S)})
    return url.render_as_string(hide_password=False)


def is_missing(db_url: str) -> bool:
    """Whether opening it would make a new, empty gradebook."""
    url = make_url(db_url)
    plain = url.get_backend_name() == "sqlite" and url.database and not url.database.startswith(("file:", ":"))
    return bool(plain) and not Path(str(url.database)).exists()


class AnswerKey(Gradebook):
    """The gradebook as preparing reads it: cells and notebooks of an assignment are looked up once a batch."""

    def __init__(self, db_url: str) -> None:
        super().__init__(_impatient(db_url))
        self._found: dict[tuple[str, ...], Any] = {}

    def _once(self, find: Callable[..., Any], *names: str) -> Any:
        key = (find.__name__, *names)
        if key not in self._found:
            self._found[key] = find(*names)
        return self._found[key]

    def find_notebook(self, name: str, assignment: str) -> Any:
        return self._once(super().find_notebook, name, assignment)

    def find_source_cell(self, name: str, notebook: str, assignment: str) -> Any:
        return self._once(super().find_source_cell, name, notebook, assignment)

    def find_graded_cell(self, name: str, notebook: str, assignment: str) -> Any:
        return self._once(super().find_graded_cell, name, notebook, assignment)


class _HeldSession(Session):
    """A session whose `commit` does nothing, so that nbgrader's many commits become one: `commit_all`.

    What was changed is written before the next query (autoflush), so nbgrader's own code finds it.
    """

    def commit(self) -> None:
        pass

    def commit_all(self) -> None:
        super().commit()


@dataclass(frozen=True, slots=True)
class _Layout:
    """The rows that a submission of an assignment has: by notebook, cells that get a grade, and a comment."""

    assignment: str
    notebooks: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...]

    @classmethod
    def of(cls, assignment: Any) -> _Layout:
        notebooks = []
        for notebook in assignment.notebooks:
            tasks = [cell.id for cell in notebook.task_cells]
            graded = [cell.id for cell in notebook.grade_cells]
            solved = [cell.id for cell in notebook.solution_cells]
            notebooks.append((notebook.id, (*graded, *tasks), (*solved, *tasks)))
        return cls(assignment.id, tuple(notebooks))


class Ledger(Gradebook):
    """The gradebook as recording writes it: everything inside `transaction()` stands, or nothing of it.

    `holds` is False for a course whose own steps open the gradebook: they must find what nbgrader has committed.
    """

    def __init__(self, db_url: str, course_id: str, *, holds: bool = True) -> None:
        super().__init__(_impatient(db_url), course_id)
        self.db = scoped_session(
            sessionmaker(class_=_HeldSession if holds else Session, autoflush=True, bind=self.engine, future=True)
        )
        self.holds = holds
        self._found: dict[tuple[str, ...], Any] = {}  # in this transaction
        self._students: set[str] | None = None
        self._layouts: dict[str, _Layout] = {}

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Ledger]:
        """Commit at the end, roll back at an exception.

        Raises: sqlalchemy's OperationalError when the database is locked, read-only, or the disk is full.
        """
        try:
            yield self
            session = self.db()
            session.commit_all() if isinstance(session, _HeldSession) else session.commit()
        except BaseException:
            self.db.rollback()
            self._students = None
            raise
        finally:
            self.db.remove()
            self._found.clear()

    def update_or_create_student(self, student_id: str, **columns: Any) -> Any:
        """As nbgrader's; a student who is known already costs no query."""
        if self._students is None:
            self._students = {str(student) for (student,) in self.db.query(Student.id)}
        if columns or student_id not in self._students:
            super().update_or_create_student(student_id, **columns)
            self._students.add(student_id)

    def add_submission(self, assignment: str, student: str, **columns: Any) -> Any:
        """The rows that nbgrader's adds, one statement a table instead of one object a row."""
        if assignment not in self._layouts:
            self._layouts[assignment] = _Layout.of(self.find_assignment(assignment))
        layout, submission = self._layouts[assignment], new_uuid()
        if "timestamp" in columns:
            columns["timestamp"] = parse_utc(columns["timestamp"])
        row = {"id": submission, "assignment_id": layout.assignment, "student_id": student, **columns}
        self.db.execute(insert(SubmittedAssignment), [row])
        for notebook, graded, commented in layout.notebooks:
            mine = new_uuid()
            row = {"id": mine, "assignment_id": submission, "notebook_id": notebook}
            self.db.execute(insert(SubmittedNotebook), [row])
            for table, cells in ((Grade, graded), (Comment, commented)):
                if cells:
                    self.db.execute(insert(table), [{"cell_id": cell, "notebook_id": mine} for cell in cells])
        return self.find_submission(assignment, student)

    # Below: as nbgrader's, asked once a notebook where nbgrader asks once or twice a cell.

    def find_submission(self, assignment: str, student: str) -> Any:
        key = ("submission", assignment, student)
        if key not in self._found:
            self._found[key] = super().find_submission(assignment, student)
        return self._found[key]

    def find_submission_notebook(self, notebook: str, assignment: str, student: str) -> Any:
        key = ("notebook", notebook, assignment, student)
        if key not in self._found:
            self._found[key] = super().find_submission_notebook(notebook, assignment, student)
        return self._found[key]

    def find_grade(self, grade_cell: str, notebook: str, assignment: str, student: str) -> Any:
        return self._of_cell(Grade, grade_cell, notebook, assignment, student)

    def find_comment(self, solution_cell: str, notebook: str, assignment: str, student: str) -> Any:
        return self._of_cell(Comment, solution_cell, notebook, assignment, student)

    def _of_cell(self, what: Any, cell: str, *place: str) -> Any:
        key = (what.__name__, *place)
        if key not in self._found:
            rows = self.find_submission_notebook(*place)
            query = self.db.query(what, BaseCell.name).join(BaseCell, BaseCell.id == what.cell_id)
            self._found[key] = {name: row for row, name in query.filter(what.notebook_id == rows.id)}
        if cell not in self._found[key]:
            raise MissingEntry(f"No such {what.__name__.lower()}: {cell} of {'/'.join(place)}")
        return self._found[key][cell]

    def scores(self, notebook: str, assignment: str, student: str, points: Mapping[str, float]) -> tuple[float, float]:
        """A notebook's score and its maximum, as the gradebook computes them: by hand before automatic, and extra."""
        score = 0.0
        for cell in points:
            grade = self.find_grade(cell, notebook, assignment, student)
            own = grade.manual_score if grade.manual_score is not None else grade.auto_score
            score += own + (grade.extra_credit or 0.0) if own is not None else 0.0
        return score, sum(points.values())

    def submission_ids(self, assignment: str) -> dict[str, str]:
        """The gradebook's id of each submission of an assignment, by student."""
        rows = self.db.query(SubmittedAssignment.student_id, SubmittedAssignment.id).filter(
            SubmittedAssignment.assignment.has(name=assignment)
        )
        found = {str(student): str(key) for student, key in rows}
        self.db.remove()
        return found

    def make_sure_it_can_be_written(self) -> None:
        """Write, and take it back. Raises OperationalError when that cannot be done: locked, read-only, disk full."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.execute(text("BEGIN IMMEDIATE"))
                connection.execute(text("CREATE TABLE torchdojo_tries (x)"))
                connection.rollback()


def patiently(act: Callable[[], None], gradebook: str, *, wait_s: float, on_wait: Callable[[str], None]) -> None:
    """Do `act`, a whole transaction, again until nobody else holds the gradebook, for `wait_s` seconds at most.

    Args:
        act: does one transaction; done again from its beginning after a lock.
        gradebook: its address, as nbgrader has it.
        wait_s: how long to wait before giving up.
        on_wait: called once, with a sentence that says who holds the gradebook.

    Raises:
        OursError: still locked, read-only, or the disk is full. It says what to do next.
    """
    began, told = time.monotonic(), False
    while True:
        try:
            return act()
        except OperationalError as error:
            what = str(error.orig)
            if "locked" not in what and "busy" not in what:
                raise OursError(_cannot_write(gradebook, what)) from error
            waited_s = time.monotonic() - began
            who = _holders(gradebook)
            if waited_s > wait_s:
                raise OursError(
                    f"{gradebook}: locked for {waited_s:.0f} s by {who}. Close it there (formgrader? a database "
                    "browser?), then type the same command again: it goes on where it stopped."
                ) from error
            if not told:
                on_wait(f"{gradebook} is locked by {who}. Waiting {wait_s:.0f} s at most.")
                told = True
            time.sleep(0.1)


def _cannot_write(gradebook: str, what: str) -> str:
    if "readonly" in what:
        return f"{gradebook}: cannot be written to ({what}). Make the file and its folder writable, then type again."
    if "full" in what:
        return f"{gradebook}: the disk is full ({what}). Free some space, then type the same command again."
    return (
        f"{gradebook}: the database says: {what}. After an upgrade of nbgrader: copy the file, type "
        "`nbgrader db upgrade`, then type the same command again."
    )


def _holders(gradebook: str) -> str:
    """Other processes that have the database file open, for a sentence."""
    path = gradebook.removeprefix("sqlite:///").partition("?")[0].removeprefix("file:")
    me, holders = psutil.Process().pid, []
    for process in psutil.process_iter(["pid", "name"]):
        with contextlib.suppress(psutil.Error):
            if process.pid != me and any(file.path == path for file in process.open_files()):
                holders.append(f"{process.info['name']} (process {process.pid})")
    return ", ".join(holders) or "another program"

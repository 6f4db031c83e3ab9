"""How grading a submission ended: one status, one sentence that says what to do. Plain records, no rendering."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass


class Status(enum.StrEnum):
    """How a submission ended, mildest first: of several notebooks the worst speaks for the submission."""

    GRADED = "graded"
    STOPPED = "graded with a stopped cell"
    MISSING = "missing notebook"
    DUPLICATE = "duplicate cell"
    DIED = "kernel died"
    REFUSED = "refused"
    UNREADABLE = "unreadable notebook"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class SlowCell:
    """The cell of a notebook that took longest. `cell` is its grade id, or its position such as "cell 7"."""

    cell: str
    seconds: float


@dataclass(frozen=True, slots=True)
class NotebookGrade:
    """What came of one notebook of a submission. Points are nbgrader's, before any late penalty.

    `left_open` are grade ids that nobody judged: not run, refused by nbgrader's scorer, or ambiguous. In the gradebook
    they have no automatic score and wait for a human, as nbgrader's own hand-graded cells do.
    """

    name: str
    status: Status
    sentence: str = ""
    score: float | None = None
    max_score: float | None = None
    notes: tuple[str, ...] = ()
    left_open: tuple[str, ...] = ()
    judged_in_kernel: tuple[str, ...] = ()
    slowest: SlowCell | None = None
    seconds: float = 0.0
    cpu_s: float = 0.0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Graded:
    """What came of one submission. `recorded` says whether its grade stands in the gradebook.

    `score` and `penalty` are points, None where no grade stands. `unchanged` means: graded earlier, from the same
    submission, tests and versions.
    """

    assignment: str
    student: str
    status: Status
    sentence: str = ""
    recorded: bool = False
    unchanged: bool = False
    score: float | None = None
    max_score: float | None = None
    penalty: float = 0.0
    notebooks: tuple[NotebookGrade, ...] = ()
    handed_in_nothing: bool = False  # no notebook at all: there is nothing that could have been graded

    @property
    def notes(self) -> list[str]:
        """What was put right or stands out, each with the notebook that it is about."""
        return [f"{notebook.name}.ipynb: {note}" for notebook in self.notebooks for note in notebook.notes]


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What came of a run over one assignment. `interrupted` runs leave `remaining` submissions for the next."""

    assignment: str
    graded: tuple[Graded, ...] = ()
    seconds: float = 0.0
    interrupted: bool = False
    remaining: int = 0
    halted: str = ""  # why the batch could not go on: the gradebook or the disk

    @property
    def by_status(self) -> dict[Status, int]:
        """How many submissions ended in each status, mildest first; those with none are left out."""
        counts = Counter(each.status for each in self.graded)
        return {status: counts[status] for status in Status if counts[status]}

    @property
    def exit_status(self) -> int:
        """0 all graded, 1 some not, 3 ours, 130 interrupted."""
        if self.interrupted:
            return 130
        if self.halted or any(each.status is Status.OURS for each in self.graded):
            return 3
        return int(any(not each.recorded and not each.handed_in_nothing for each in self.graded))


def worst(statuses: Iterable[Status]) -> Status:
    """The status that speaks for a submission of several notebooks."""
    return max(statuses, key=severity, default=Status.GRADED)


def severity(status: Status) -> int:
    """Its place in the order of `Status`, 0 for the mildest."""
    return list(Status).index(status)

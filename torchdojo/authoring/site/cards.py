"""What the course page says of an assignment, as records: read from its source notebook, in a learner's language.

No code is on a card. Tests are there by what they say when they fail, misconceptions by title and hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from torchdojo.authoring.messages import test_titles
from torchdojo.authoring.prose import translate_markdown
from torchdojo.course import Assignment, Course
from torchdojo.grade_cell import visible_part
from torchdojo.notebook import Exercise, Notebook, read, read_node

_HEADING = re.compile(r"^(?P<mark>#{2,6})\s+(?P<text>(?P<number>\d+(?:\.\d+)+) · (?P<title>.+?))\s*$", re.M)
_LINE = re.compile(
    r"^\*(?P<level>[●○]+) · (?P<minutes>\d+) minutes? · (?P<points>[\d.]+) points?(?P<by_hand>, by hand)?"
    r"(?: · (?P<rest>.+?))?\*$",
    re.M,
)
_TITLE = re.compile(r"\A#\s+(?P<text>(?:\d+ · )?(?P<title>.+?))\s*$", re.M)
_NUMBER = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True, slots=True)
class Test:
    """A test, by its function's name, what it says when it fails, and whether students may read its source."""

    name: str
    title: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Misconception:
    """A wrong idea: what it is called, what a learner is asked who has it, and the test that is meant to catch it."""

    key: str
    title: str
    hint: str
    caught_by: str


@dataclass(frozen=True, slots=True)
class ExerciseCard:
    """One exercise. `level` is 1 to `levels` (0: not said), `minutes` 0 where the notebook does not say.

    `builds_on` and `helped_by` are numbers of exercises as they are written: "5.1, 5.2", "9.1–9.5".
    """

    name: str
    number: str
    title: str
    level: int
    levels: int
    minutes: int
    points: float
    by_hand: bool
    builds_on: str
    helped_by: str
    tests: tuple[Test, ...]
    misconceptions: tuple[Misconception, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One assignment. `head` is the notebook's first cell below its title, as Markdown."""

    name: str
    section: str
    title: str
    points: float
    due: datetime | None
    head: str
    exercises: tuple[ExerciseCard, ...]

    @property
    def minutes(self) -> int:
        return sum(exercise.minutes for exercise in self.exercises)


def read_card(course: Course, assignment: Assignment, known: Mapping[str, str]) -> Card:
    """The card of an assignment. `known`: its texts, translated; what is not there stays as it is.

    Raises: AuthorError
    """
    path = course.source_notebook(assignment)
    notebook, node = read(path), read_node(path)
    first = node.cells[0].source if node.cells and node.cells[0].cell_type == "markdown" else ""
    title = _TITLE.match(first)
    head = first[title.end() :].strip() if title else first

    def say(text: str) -> str:
        return known.get(text, text)

    return Card(
        name=assignment.name,
        section=assignment.section,
        title=_title(assignment, title, known),
        points=assignment.points,
        due=assignment.due,
        head=translate_markdown(head, say),
        exercises=tuple(_exercises(notebook, node, say)),
    )


def numbers_in(text: str) -> list[str]:
    """The numbers of exercises that a text names."""
    return _NUMBER.findall(text)


def _title(assignment: Assignment, found: re.Match[str] | None, known: Mapping[str, str]) -> str:
    """course.yml's title, or the translation of the notebook's."""
    if found is None or found["text"] not in known:
        return assignment.title
    return known[found["text"]].rpartition(" · ")[2]


@dataclass(slots=True)
class _Place:
    """A heading with a card line: where an exercise begins."""

    cell: int
    heading: re.Match[str]
    line: re.Match[str]


def _places(node: Any) -> list[_Place]:
    found = []
    for index, cell in enumerate(node.cells):
        heading = _HEADING.search(cell.source) if cell.cell_type == "markdown" else None
        line = _LINE.search(cell.source, heading.end()) if heading else None
        if heading and line:
            found.append(_Place(index, heading, line))
    return found


def _exercises(notebook: Notebook, node: Any, say: Callable[[str], str]) -> Iterator[ExerciseCard]:
    """In the notebook's order: those with tests, whether they have a card line or not, and those graded by hand."""
    places = _places(node)
    taken = set()
    found: list[tuple[int, Exercise | None, _Place | None]] = []
    for exercise in notebook.exercises:
        above = [place for place in places if place.cell < exercise.solution_cells[0].index]
        place = above[-1] if above and above[-1].cell not in taken else None
        if place is not None:
            taken.add(place.cell)
        found.append((exercise.grade_cell, exercise, place))
    found += [(place.cell, None, place) for place in places if place.cell not in taken]
    for _, one, place in sorted(found, key=lambda each: each[0]):
        yield _exercise(one, place, say)


def _exercise(exercise: Exercise | None, place: _Place | None, say: Callable[[str], str]) -> ExerciseCard:
    heading, line = (place.heading, place.line) if place else (None, None)
    name = exercise.name if exercise else ""
    rest = (line["rest"] or "") if line else ""
    helps = rest.endswith("may help")
    return ExerciseCard(
        name=name,
        number=heading["number"] if heading else "",
        title=say(heading["text"]).rpartition(" · ")[2] if heading else name,
        level=line["level"].count("●") if line else 0,
        levels=len(line["level"]) if line else 0,
        minutes=int(line["minutes"]) if line else 0,
        points=exercise.points if exercise else float(line["points"]) if line else 0.0,
        by_hand=exercise is None,
        builds_on="" if helps else rest.removeprefix("builds on "),
        helped_by=", ".join(numbers_in(rest)) if helps else "",
        tests=tuple(_tests(exercise, say)) if exercise else (),
        misconceptions=tuple(
            Misconception(each.key, say(each.title), say(each.hint), each.caught_by)
            for each in (exercise.misconceptions if exercise else ())
        ),
    )


def _tests(exercise: Exercise, say: Callable[[str], str]) -> Iterator[Test]:
    visible = test_titles(visible_part(exercise.tests))
    for name, title in test_titles(exercise.tests).items():
        yield Test(name, say(title), name in visible)

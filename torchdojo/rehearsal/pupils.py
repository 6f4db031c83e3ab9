"""Who sits in a pretend class: for each pupil, what they wrote for each exercise, drawn from a seed."""

from __future__ import annotations

import ast
import random
from collections.abc import Sequence
from dataclasses import dataclass

from torchdojo.authoring.scratch import defined_names
from torchdojo.notebook import SOLUTION_BEGIN, SOLUTION_END, Exercise, Notebook, Variant

TROUBLES = ("crash", "endless-loop", "killed-kernel", "not-json")
_FIRST = [
    "ada",
    "alan",
    "anita",
    "barbara",
    "claude",
    "donald",
    "edsger",
    "frances",
    "grace",
    "hedy",
    "ida",
    "john",
    "katherine",
    "lotfi",
    "margaret",
    "mary",
]
_LAST = [
    "abel",
    "bayes",
    "cauchy",
    "darwin",
    "euler",
    "fermat",
    "gauss",
    "hilbert",
    "ito",
    "jensen",
    "klein",
    "laplace",
    "markov",
    "noether",
    "pascal",
    "riemann",
]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pupil wrote for one exercise: one source a solution cell. `kind` empty keeps the released starter."""

    exercise: str
    kind: str  # reference, solution, misconception, empty
    key: str
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pupil:
    """One pretend student. `trouble` is one of TROUBLES, or empty."""

    name: str
    answers: tuple[Answer, ...]
    trouble: str = ""


def draw_class(notebook: Notebook, students: int, seed: int, *, trouble: bool = False) -> list[Pupil]:
    """`students` pupils, the same for the same seed. The first has everything right, the second has written nothing.

    With `trouble` four more follow, one for each of TROUBLES; all they wrote apart from it is right.
    """
    chance = random.Random(f"{seed} {notebook.path.stem}")
    names = _names(students + len(TROUBLES) * trouble)
    pupils = []
    for index in range(students):
        kinds = {0: "reference", 1: "empty"}.get(index, "")
        drawn = [_draw(exercise, chance, kinds) for exercise in notebook.exercises]
        pupils.append(Pupil(names[index], _without_broken_ground(notebook, drawn)))
    if trouble:
        right = tuple(reference(exercise) for exercise in notebook.exercises)
        pupils += [Pupil(names[students + i], right, word) for i, word in enumerate(TROUBLES)]
    return pupils


def reference(exercise: Exercise) -> Answer:
    """The instructor's solution as a student would hand it in: without its region's markers."""
    sources = tuple(_without_markers(source) for source in exercise.sources)
    return Answer(exercise.name, "reference", "reference", sources)


def empty(exercise: Exercise) -> Answer:
    """Nothing written: the starter stays."""
    return Answer(exercise.name, "empty", "empty", ())


def _draw(exercise: Exercise, chance: random.Random, kind: str) -> Answer:
    kind = kind or chance.choices(("reference", "solution", "misconception", "empty"), (40, 20, 30, 10))[0]
    pool: Sequence[Variant] = {"solution": exercise.solutions, "misconception": exercise.misconceptions}.get(kind, ())
    if kind == "empty":
        return empty(exercise)
    if not pool:
        return reference(exercise)
    variant = chance.choice(pool)
    # A variant is one piece: it stands in the first solution cell, the others of the exercise say so.
    rest = ("# See the cell above.",) * (len(exercise.solution_cells) - 1)
    return Answer(exercise.name, kind, variant.key, (variant.source, *rest))


def _without_broken_ground(notebook: Notebook, answers: list[Answer]) -> tuple[Answer, ...]:
    """Make sure that an answer stands on the reference of each exercise it calls: else no grade is known ahead.

    Who has that exercise wrong leaves out what calls it; who has it right in another way gets the reference's way.
    """
    broken: set[str] = set()
    kept: list[Answer] = []
    for exercise, answer in zip(notebook.exercises, answers, strict=True):
        called = _names_used(answer.sources)
        if broken & called:
            answer = empty(exercise)
            called = set()
        for number, (below, other) in enumerate(zip(notebook.exercises, kept, strict=False)):
            if other.kind == "solution" and called & set(defined_names(below.sources)):
                kept[number] = reference(below)
        if answer.kind in ("misconception", "empty"):
            broken |= set(defined_names(exercise.sources))
        kept.append(answer)
    return tuple(kept)


def _names_used(sources: Sequence[str]) -> set[str]:
    return {node.id for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Name)}


def _without_markers(source: str) -> str:
    lines = source.splitlines()
    return "\n".join(line for line in lines if SOLUTION_BEGIN not in line and SOLUTION_END not in line)


def _names(count: int) -> list[str]:
    names = [f"{first}-{last}" for last in _LAST for first in _FIRST]
    return [names[i] if i < len(names) else f"{names[i % len(names)]}-{i // len(names) + 1}" for i in range(count)]

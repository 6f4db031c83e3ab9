"""Mutants of a solution: each its source with one thing altered, as a hurried learner or a slip would alter it.

Owns the keys and the splicing; which alterations there are is `mutators.py`; running them is `mutation.py`.
"""

from __future__ import annotations

import ast
import difflib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from torchdojo.authoring.mutators import changes
from torchdojo.authoring.source_code import Change, Code


@dataclass(frozen=True, slots=True)
class Mutant:
    """A solution with one alteration.

    `key` names the alteration and its site, the nth of its kind: `drop-keyword-2`. `line` counts from 1 in the cell;
    `before` and `after` are the lines that differ; `sources` are all cells of the solution, one of them altered.
    """

    key: str
    cell: int
    line: int
    before: tuple[str, ...]
    after: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def diff(self) -> str:
        """What was altered, as `- old` and `+ new` lines, without indentation."""
        return "\n".join([f"- {line.strip()}" for line in self.before] + [f"+ {line.strip()}" for line in self.after])


def mutants(sources: Sequence[str]) -> list[Mutant]:
    """Every mutant of a solution, in a fixed order; no two are the same program.

    Docstrings, annotations and the texts of error messages stay as they are.

    Args:
        sources: the cells of a solution.

    Raises:
        SyntaxError: a cell is not Python.
    """
    found: list[Mutant] = []
    count = Counter[str]()
    for cell, source in enumerate(sources):
        code = Code(source)
        seen = {_meaning(source)}
        for change in changes(code):
            count[change.operator] += 1  # also of those left out below: a key depends on the sites only
            text = _apply(code, change)
            if text is None or (meaning := _meaning(text)) in seen:
                continue
            seen.add(meaning)
            line, before, after = _difference(source, text)
            whole = (*sources[:cell], text, *sources[cell + 1 :])
            found.append(Mutant(f"{change.operator}-{count[change.operator]}", cell, line, before, after, whole))
    return found


def _apply(code: Code, change: Change) -> str | None:
    """The source with the change in it, in parentheses where it must be; None where that is not Python."""
    plain = code.spliced(change)
    if not change.expression:
        return plain if _is_python(plain) else None
    wrapped = code.spliced(change, f"({change.text})")
    if not _is_python(wrapped):
        return None
    same = _is_python(plain) and ast.dump(ast.parse(plain)) == ast.dump(ast.parse(wrapped))
    return plain if same else wrapped


def _meaning(text: str) -> str:
    """What two sources have in common that are the same program: layout is nothing, and `x = x` is `pass`."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None), getattr(node, "finalbody", None)):
            if isinstance(body, list):
                body[:] = [ast.Pass() if _is_idle(statement) else statement for statement in body]
    return ast.dump(tree)


def _is_idle(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.Assign) or not isinstance(statement.value, ast.Name):
        return False
    return all(isinstance(target, ast.Name) and target.id == statement.value.id for target in statement.targets)


def _is_python(text: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # `1 is 2`, `() ()`: wrong, and meant to be
            compile(text, "<mutant>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _difference(old: str, new: str) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    a, b = old.splitlines(), new.splitlines()
    rows = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    altered = [row for row in rows if row[0] != "equal"]
    first, last = altered[0], altered[-1]
    return first[1] + 1, tuple(a[first[1] : last[2]]), tuple(b[first[3] : last[4]])

"""What came of the tests of one grade cell, as pytest reports it: an outcome for each test function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest

from torchdojo.checks.outcome import TestOutcome, Verdict
from torchdojo.checks.student import Student
from torchdojo.checks.verdict import Comparison, Failure, explain

OutcomeHook = Callable[[str, TestOutcome | None], None]


class DependencyFailed(Exception):
    """A test was not run, because one that it needs did not pass."""


class Gathered:
    """Filled by the hooks of `session`; `outcomes` at the end. `broken` says what broke a whole run, if anything."""

    def __init__(self, student: Student, on_outcome: OutcomeHook | None) -> None:
        self._student = student
        self._on_outcome = on_outcome
        self._cases: dict[str, list[tuple[str, Failure]]] = {}
        self._functions: dict[str, tuple[str, float]] = {}
        self._expected: dict[str, int] = {}
        self.module: ModuleType | None = None
        self.comparison: Comparison | None = None
        self.broken = ""

    def expect(self, items: list[pytest.Item]) -> None:
        """These tests will run; sorts them, in place, so that each comes after those it depends on."""
        items[:] = _dependencies_first(items)
        for item in items:
            name = function_name(item)
            marker = item.get_closest_marker("weight")
            self._functions.setdefault(name, (_title(item), float(marker.args[0]) if marker else 1.0))
            self._expected[name] = self._expected.get(name, 0) + 1

    def begin(self, item: pytest.Item) -> None:
        """A case of a test is about to run.

        Raises:
            DependencyFailed
            LookupError: it depends on no test of this cell.
        """
        name = function_name(item)
        if self._on_outcome is not None and name not in self._cases:
            self._on_outcome(name, None)
        for marker in item.iter_markers("depends_on"):
            for needed in marker.args:
                if not self._passed(needed):
                    raise DependencyFailed(needed)
        self.comparison = None

    def enter(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        """A phase of a case (setup, call, teardown) has ended."""
        name = function_name(item)
        if call.excinfo is not None:
            if isinstance(call.excinfo.value, DependencyFailed):
                needed = call.excinfo.value.args[0]
                title = self._functions.get(needed, (needed, 1.0))[0]
                failure = Failure(Verdict.SKIPPED, message=f"Waits for: {title}")
            else:
                failure = explain(call.excinfo, self._student, self.module, self.comparison)
            self._add(name, item, failure)
        elif call.when == "call":
            self._add(name, item, Failure(Verdict.PASSED))

    def outcomes(self) -> tuple[TestOutcome, ...]:
        """One outcome a test function, in source order; all of them the grader's fault when a run broke."""
        if self.broken and not self._functions:
            return (TestOutcome("", "The tests of this cell", Verdict.GRADER_FAILED, message=self.broken),)
        return tuple(self._outcome(name) for name in self._in_source_order())

    def _in_source_order(self) -> Sequence[str]:
        names = list(vars(self.module)) if self.module else []
        return sorted(self._functions, key=lambda name: names.index(name) if name in names else -1)

    def _outcome(self, name: str) -> TestOutcome:
        title, weight = self._functions[name]
        cases = self._cases.get(name, [])
        shown = next(((c, f) for c, f in cases if f.verdict is not Verdict.PASSED), None)
        if shown is None and len(cases) < self._expected[name]:
            shown = ("", Failure(Verdict.GRADER_FAILED, message=self.broken or "The test did not run."))
        case, failure = shown or ("", Failure(Verdict.PASSED))
        return TestOutcome(
            name=name,
            title=title,
            weight=weight,
            case=case,
            cases=tuple(f.word for _, f in cases),
            verdict=failure.verdict,
            message=failure.message,
            expected=failure.expected,
            got=failure.got,
            exception=failure.exception,
            place=failure.place,
        )

    def _add(self, name: str, item: pytest.Item, failure: Failure) -> None:
        callspec = getattr(item, "callspec", None)
        self._cases.setdefault(name, []).append((callspec.id if callspec else "", failure))
        if self._on_outcome is not None and len(self._cases[name]) >= self._expected[name]:
            self._on_outcome(name, self._outcome(name))

    def _passed(self, name: str) -> bool:
        if name not in self._functions:
            raise LookupError(f"depends_on names {name!r}, which is no test of this cell")
        cases = self._cases.get(name, [])
        return len(cases) == self._expected[name] and all(f.verdict is Verdict.PASSED for _, f in cases)


def function_name(item: pytest.Item) -> str:
    """The test function's name, without a parametrized case's."""
    return getattr(item, "originalname", None) or item.name


def _title(item: pytest.Item) -> str:
    doc: Any = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return " ".join(doc.split()) or name_in_words(function_name(item))


def name_in_words(name: str) -> str:
    """What stands for the title of a test that has none, or of one that is known by its name only."""
    return name.removeprefix("test_").replace("_", " ")


def _dependencies_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The same tests, each after those it depends on; otherwise in source order."""
    needs = {
        function_name(item): {n for marker in item.iter_markers("depends_on") for n in marker.args} for item in items
    }

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise LookupError(f"depends_on goes round in a circle: {' -> '.join([*above, name])}")
        return 1 + max((depth(n, (*above, name)) for n in needs.get(name, ())), default=0)

    return sorted(items, key=lambda item: depth(function_name(item)))

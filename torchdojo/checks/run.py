"""Run a grade cell's tests under pytest and collect an outcome for each. Knows pytest; knows no notebook."""

from __future__ import annotations

import ast
import contextlib
import io
import itertools
import linecache
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from _pytest.assertion.rewrite import rewrite_asserts

from torchdojo.checks.outcome import CheckReport, TestOutcome, Verdict, score
from torchdojo.checks.seeds import random_state_kept, seed_everything
from torchdojo.checks.student import Student
from torchdojo.checks.verdict import Comparison, Failure, explain
from torchdojo.grade_cell import is_check

OutcomeHook = Callable[[str, TestOutcome | None], None]
_numbers = itertools.count(1)

# Plugins of pytest's own that a grade cell has no use for; each costs start-up, or touches what is not ours.
_LEFT_OUT = [
    "cacheprovider",
    "debugging",
    "doctest",
    "faulthandler",
    "junitxml",
    "legacypath",
    "logging",
    "nose",
    "pastebin",
    "python_path",
    "setuponly",
    "setupplan",
    "stepwise",
    "threadexception",
    "unittest",
    "unraisableexception",
]


def run_tests(
    source: str,
    student: Student,
    points: float,
    *,
    seed: int = 0,
    on_outcome: OutcomeHook | None = None,
) -> CheckReport:
    """Run every `test_*` function of `source` against `student`.

    Args:
        source: a grade cell, its last line `check(points=…)` included (that call is not made).
        student: what the fixture `student` gives to tests.
        points: what the cell is worth.
        seed: Python, NumPy and torch start from it before every test; their states are restored afterwards.
        on_outcome: called with a test function's name and None before it starts, and with its outcome as soon as it
            is known, so that a caller who must stop a test knows which.

    Raises:
        KeyboardInterrupt: the tests were interrupted. A fault of the tests themselves is an outcome, never an error.
    """
    plugin = _CellPlugin(source, student, seed, on_outcome)
    with _quiet() as output, random_state_kept():
        try:
            status = _pytest_main(plugin)
        except KeyboardInterrupt:
            raise
        except Exception as error:
            plugin.broken = f"{type(error).__name__}: {error}"
        else:
            if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR) and not plugin.broken:
                plugin.broken = output.getvalue().strip() or f"pytest ended with {status!r}"
    if plugin.interrupted:
        raise KeyboardInterrupt
    outcomes = plugin.outcomes()
    return CheckReport(score(points, outcomes), float(points), outcomes)


def test_names(source: str) -> list[str]:
    """Names of the test functions of a grade cell, in source order."""
    return [
        node.name
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    ]


class _CellPlugin:
    """The pytest plugin of one run: collects from a module in memory, gives `student`, gathers outcomes."""

    def __init__(self, source: str, student: Student, seed: int, on_outcome: OutcomeHook | None) -> None:
        self._source = source
        self._student = student
        self._seed = seed
        self._on_outcome = on_outcome
        self._cases: dict[str, list[tuple[str, Failure]]] = {}
        self._functions: dict[str, tuple[str, float]] = {}
        self._expected: dict[str, int] = {}
        self._comparison: Comparison | None = None
        self.module: ModuleType | None = None
        self.broken = ""
        self.interrupted = False

    @pytest.fixture(scope="session")
    def student(self) -> Student:
        """The learner's code."""
        return self._student

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "depends_on(*names): skipped unless these tests passed")
        config.addinivalue_line("markers", "weight(number): this test counts so many times (default 1)")

    def pytest_collection(self, session: pytest.Session) -> bool:
        self.module = _module(self._source)  # here, not earlier: marks are checked against the configuration at work
        node = _CellModule.from_parent(session, path=Path(session.config.rootpath) / "grade_cell.py")
        node.in_memory = self.module
        session.items = _dependencies_first(list(session.genitems(node)))
        for item in session.items:
            name = _function_name(item)
            marker = item.get_closest_marker("weight")
            self._functions.setdefault(name, (_title(item), float(marker.args[0]) if marker else 1.0))
            self._expected[name] = self._expected.get(name, 0) + 1
        session.testscollected = len(session.items)
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken = str(report.longrepr).strip().splitlines()[-1]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        name = _function_name(item)
        if self._on_outcome is not None and name not in self._cases:
            self._on_outcome(name, None)
        for marker in item.iter_markers("depends_on"):
            for needed in marker.args:
                if not self._passed(needed):
                    raise _DependencyFailed(needed)
        self._comparison = None
        seed_everything(self._seed)
        self._student.seed(self._seed)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Any:
        with _staying():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Any:
        with _staying():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
        report = yield
        name = _function_name(item)
        if call.excinfo is not None:
            if isinstance(call.excinfo.value, _DependencyFailed):
                needed = call.excinfo.value.args[0]
                title = self._functions.get(needed, (needed, 1.0))[0]
                failure = Failure(Verdict.SKIPPED, message=f"Waits for: {title}")
            else:
                failure = explain(call.excinfo, self._student, self.module, self._comparison)
            self._add(name, item, failure)
        elif call.when == "call":
            self._add(name, item, Failure(Verdict.PASSED))
        return report

    def pytest_assertrepr_compare(self, op: str, left: Any, right: Any) -> None:
        # Tests write `assert got == expected`; the learner is told both in words, not in pytest's.
        self._comparison = Comparison(op, got=left, expected=right)

    def pytest_keyboard_interrupt(self) -> None:
        self.interrupted = True

    def pytest_internalerror(self, excrepr: Any) -> None:
        self.broken = str(excrepr).strip().splitlines()[-1]

    def outcomes(self) -> tuple[TestOutcome, ...]:
        """One outcome a test function, in source order; all of them the grader's fault when a run broke."""
        if self.broken and not self._functions:
            return (TestOutcome("", "The tests of this cell", Verdict.GRADER_FAILED, message=self.broken),)
        return tuple(self._outcome(name) for name in self._in_source_order())

    def _in_source_order(self) -> list[str]:
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


class _CellModule(pytest.Module):
    in_memory: ModuleType | None = None

    def _getobj(self) -> Any:
        return self.in_memory


class _DependencyFailed(Exception):
    pass


class _Left(Exception):
    """A learner's code called pytest.exit."""


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Make pytest.exit in a learner's code an error like others: it would end the session and the tests after it."""
    try:
        yield
    except pytest.exit.Exception as error:
        raise _Left(str(error)).with_traceback(error.__traceback__) from None


def _function_name(item: pytest.Item) -> str:
    return getattr(item, "originalname", None) or item.name


def _title(item: pytest.Item) -> str:
    doc = getattr(getattr(item, "obj", None), "__doc__", None) or ""
    return " ".join(doc.split()) or _function_name(item).removeprefix("test_").replace("_", " ")


def _dependencies_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The same tests, each after those it depends on; otherwise in source order."""
    needs = {
        _function_name(item): {n for marker in item.iter_markers("depends_on") for n in marker.args} for item in items
    }

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        if name in above:
            raise LookupError(f"depends_on goes round in a circle: {' -> '.join([*above, name])}")
        return 1 + max((depth(n, (*above, name)) for n in needs.get(name, ())), default=0)

    return sorted(items, key=lambda item: depth(_function_name(item)))


def _module(source: str) -> ModuleType:
    """A fresh module of a grade cell's source, asserts rewritten, its call of `check` left out."""
    filename = f"<grade cell {next(_numbers)}>"
    module = ModuleType("grade_cell")
    module.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(_compiled(source, filename), vars(module))
    return module


def _compiled(source: str, filename: str) -> CodeType:
    tree = ast.parse(source, filename)
    tree.body = [node for node in tree.body if not is_check(node)]
    rewrite_asserts(tree, source.encode())
    return compile(tree, filename, "exec", dont_inherit=True)


def _pytest_main(plugin: _CellPlugin) -> int:
    left_out = [word for name in _LEFT_OUT for word in ("-p", f"no:{name}")]
    arguments = [
        "--assert=plain",
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        os.getcwd(),
        "-q",
        *left_out,
    ]
    kept = {name: os.environ.pop(name, None) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")}
    autoload = os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        return pytest.main(arguments, plugins=[plugin])
    finally:
        kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = autoload
        os.environ.pop("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        os.environ.update({name: value for name, value in kept.items() if value is not None})


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    """Swallow what pytest itself prints, and warnings: nbgrader gives 0 to a cell with anything on stderr."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield output

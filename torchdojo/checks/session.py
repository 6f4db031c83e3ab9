"""A pytest session that stays open: starting pytest costs more than the tests of most grade cells.

Public hooks only: our plugin collects nothing, and where pytest would loop over its tests, it lets a caller run the
tests of one grade cell after the other.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeVar

import pytest

from torchdojo.checks.compiled import new_module
from torchdojo.checks.gathered import Gathered, OutcomeHook
from torchdojo.checks.outcome import CheckReport, score
from torchdojo.checks.seeds import random_state_kept, seed_everything
from torchdojo.checks.student import Student
from torchdojo.checks.verdict import Comparison

T = TypeVar("T")

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
    "terminal",
    "threadexception",
    "unittest",
    "unraisableexception",
]


class SessionFailed(Exception):
    """pytest itself did not start, or broke. The grader's fault."""


class OpenSession:
    """A pytest session at work. Made by `in_session`."""

    def __init__(self, session: pytest.Session, plugin: _Plugin) -> None:
        self._session = session
        self._plugin = plugin
        self._numbers = itertools.count(1)

    def run(
        self,
        source: str,
        student: Student,
        points: float,
        *,
        seed: int = 0,
        on_outcome: OutcomeHook | None = None,
        code: CodeType | None = None,
    ) -> CheckReport:
        """Run a grade cell's tests; see `run_tests`. `code` is what `compile_tests` made of `source`, if at hand.

        Raises:
            KeyboardInterrupt
        """
        gathered = Gathered(student, on_outcome)
        cell = self._plugin.cell = _Cell(student, seed, gathered)
        with _quiet(), _descriptors_quiet(), random_state_kept():
            try:
                cell.module = gathered.module = new_module(source, code)
                items = self._collect(cell)
                gathered.expect(items)
                for item, following in zip(items, [*items[1:], None], strict=True):
                    self._session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            except Exception as error:
                gathered.broken = gathered.broken or f"{type(error).__name__}: {error}"
        outcomes = gathered.outcomes()
        return CheckReport(score(points, outcomes), float(points), outcomes)

    def _collect(self, cell: _Cell) -> list[pytest.Item]:
        path = Path(self._session.config.rootpath) / f"grade_cell_{next(self._numbers)}.py"
        node = _CellModule.from_parent(self._session, path=path)
        node.in_memory = cell.module
        return list(self._session.genitems(node))


def in_session(body: Callable[[OpenSession], T]) -> T:
    """Start pytest, call `body` with a session in which tests can run, end pytest; return what `body` returned.

    Raises:
        SessionFailed
        BaseException: what `body` raises.
    """
    plugin: _Plugin = _Plugin(body)
    with _quiet() as output:
        status = _pytest_main(plugin)
    if plugin.error is not None:
        raise plugin.error
    if not plugin.ran:
        raise SessionFailed(output.getvalue().strip() or f"pytest ended with {status!r}")
    result: T = plugin.result
    return result


class _Cell:
    """What the plugin must know of the grade cell at work."""

    def __init__(self, student: Student, seed: int, gathered: Gathered) -> None:
        self.student = student
        self.seed = seed
        self.gathered = gathered
        self.module: ModuleType | None = None


class _Plugin:
    def __init__(self, body: Callable[[OpenSession], Any]) -> None:
        self._body = body
        self.cell: _Cell
        self.ran = False
        self.result: Any = None
        self.error: BaseException | None = None

    @pytest.fixture(scope="module")
    def student(self) -> Student:
        """The learner's code."""
        return self.cell.student

    def pytest_configure(self, config: pytest.Config) -> None:
        config.addinivalue_line("markers", "depends_on(*names): skipped unless these tests passed")
        config.addinivalue_line("markers", "weight(number): this test counts so many times (default 1)")

    def pytest_collection(self, session: pytest.Session) -> bool:
        session.items = []
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self.ran = True
        try:
            self.result = self._body(OpenSession(session, self))
        except BaseException as error:  # pytest would print it; the caller of `in_session` gets it
            self.error = error
        return True

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.cell.gathered.broken = str(report.longrepr).strip().splitlines()[-1]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.cell.gathered.begin(item)
        seed_everything(self.cell.seed)
        self.cell.student.seed(self.cell.seed)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self) -> Any:
        with _staying():
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Any:
        with _staying():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        # In the place of pytest's own, which parses whole files of torch's to quote them in a text that nobody reads.
        self.cell.gathered.enter(item, call)
        assert call.when != "collect"
        skipped = call.excinfo is not None and call.excinfo.errisinstance(pytest.skip.Exception)
        return pytest.TestReport(
            nodeid=item.nodeid,
            location=item.location,
            keywords={},
            outcome="passed" if call.excinfo is None else "skipped" if skipped else "failed",
            longrepr=None,
            when=call.when,
            duration=call.duration,
            start=call.start,
            stop=call.stop,
        )

    def pytest_assertrepr_compare(self, op: str, left: Any, right: Any) -> None:
        # Tests write `assert got == expected`; the learner is told both in words, not in pytest's.
        self.cell.gathered.comparison = Comparison(op, got=left, expected=right)


class _CellModule(pytest.Module):
    in_memory: ModuleType | None = None

    def _getobj(self) -> Any:
        return self.in_memory


class _Left(Exception):
    """A learner's code called pytest.exit."""


@contextlib.contextmanager
def _staying() -> Iterator[None]:
    """Make pytest.exit in a learner's code an error like others: it would end the session and the tests after it."""
    try:
        yield
    except pytest.exit.Exception as error:
        raise _Left(str(error)).with_traceback(error.__traceback__) from None


def _pytest_main(plugin: _Plugin) -> int:
    left_out = [word for name in _LEFT_OUT for word in ("-p", f"no:{name}")]
    arguments = [
        "--assert=plain",
        "--capture=no",  # `OpenSession.run` swallows all; a capture of each phase costs more than many a test
        "--noconftest",
        "-c",
        os.devnull,
        "--rootdir",
        os.getcwd(),
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


@contextlib.contextmanager
def _descriptors_quiet() -> Iterator[None]:
    """Swallow what tests and their processes write below Python, and let them read nothing.

    Once for a cell, where pytest would do it for each phase of each test.
    """
    kept: dict[int, int | None] = {}
    null = os.open(os.devnull, os.O_RDWR)
    stdin, sys.stdin = sys.stdin, io.StringIO()
    try:
        for number in (0, 1, 2):
            try:
                kept[number] = os.dup(number)
            except OSError:  # closed
                kept[number] = None
            os.dup2(null, number)
        yield
    finally:
        sys.stdin = stdin
        for number, copy in kept.items():
            if copy is None:
                os.close(number)
            else:
                os.dup2(copy, number)
                os.close(copy)
        os.close(null)


__all__ = ["OpenSession", "SessionFailed", "in_session"]

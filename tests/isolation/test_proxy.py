"""A student in another process: the same tests say the same, and what goes wrong there is a failed test here."""

from __future__ import annotations

import multiprocessing
import os
import socket
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from torchdojo.checks import CheckReport, NamespaceStudent, Verdict
from torchdojo.isolation.checker import check_isolated
from torchdojo.isolation.server import host

Check = Callable[..., CheckReport]


def _student(control: socket.socket, code: str) -> None:
    namespace: dict[str, Any] = {}
    exec(compile(textwrap.dedent(code), "<student>", "exec"), namespace)
    with suppress(BaseException):
        host(control, NamespaceStudent(namespace))
    os._exit(0)


@pytest.fixture
def check() -> Iterator[Check]:
    """Run the tests of a cell against a student's cell in another process."""
    context = multiprocessing.get_context("spawn")
    started = []

    def run(tests: str, code: str, **options: Any) -> CheckReport:
        ours, theirs = socket.socketpair()
        process = context.Process(target=_student, args=(theirs, code), daemon=True)
        process.start()
        started.append(process)
        theirs.close()
        with ours:
            return check_isolated(textwrap.dedent(tests) + "\ncheck(points=4)\n", 4, ours, **options)

    yield run
    for process in started:
        process.kill()
        process.join()


def test_values_handles_and_probes(check: Check) -> None:
    """Call, attribute, index, len, iterate, pass a handle back, run a probe: as if the code were here."""
    report = check(
        """
        import pytest
        def test_values(student):
            assert student.double(3) == 6
            assert student.double([1]) == [1, 1]
        def test_handle(student):
            shelf = student.Shelf("ab")
            assert len(shelf) == 2
            assert shelf[-1] == "b"
            assert list(shelf) == ["a", "b"]
            assert shelf.name == "shelf"
            assert shelf.joined("-") == "a-b"
            with pytest.raises(IndexError):
                shelf[2]
        def test_handle_as_an_argument(student):
            assert student.size(student.Shelf("abc")) == 3
        def test_probe(student):
            def probe(Shelf):
                shelf = Shelf("ab")
                shelf.items.append("c")
                return isinstance(shelf, Shelf), len(shelf)
            assert student.run(probe, student.Shelf) == (True, 3)
        def test_callback_travels(student):
            assert student.apply(lambda x: x + 1, 4) == 5
        def test_exceptions(student):
            with pytest.raises(KeyError, match="missing"):
                student.fail()
        def test_loader(student):
            from torch.utils.data import DataLoader
            assert [len(batch) for batch in DataLoader(student.Shelf([1, 2, 3]), batch_size=2)] == [2, 1]
        """,
        """
        def double(x): return x + x
        def size(shelf): return len(shelf)
        def apply(f, x): return f(x)
        def fail(): raise KeyError("missing")
        class Shelf:
            name = "shelf"
            def __init__(self, items): self.items = list(items)
            def __len__(self): return len(self.items)
            def __getitem__(self, i): return self.items[i]
            def joined(self, by): return by.join(self.items)
        """,
    )
    assert [(o.name, o.message) for o in report.outcomes if not o.passed] == []


def test_line_of_the_student_is_told(check: Check) -> None:
    """An exception comes back with its class and the learner's line; the stub is 'not attempted'."""
    report = check(
        """
        def test_a(student): student.f()
        def test_b(student): student.g()
        def test_c(student): student.h()
        """,
        "def f(): return 1 / 0\ndef g(): raise NotImplementedError()\n",
    )
    raised, stub, missing = report.outcomes
    assert (raised.verdict, raised.exception) == (Verdict.RAISED, "ZeroDivisionError")
    assert raised.place is not None
    assert raised.place.line == 1
    assert stub.verdict is missing.verdict is Verdict.NOT_ATTEMPTED


@pytest.mark.parametrize(
    "deed",
    [
        "os._exit(0)",
        "os.kill(os.getpid(), 9)",
        "time.sleep(60)",
        "[os.close(n) for n in range(3, 64)] if False else os.write(sock(), b'garbage' * 100)",
    ],
)
def test_one_crash_costs_one_test(deed: str, check: Check) -> None:
    """A process that dies, hangs or writes garbage fails the test at hand; the next test finds it alive again."""
    report = check(
        """
        def test_crash(student): assert student.crash() == 1
        def test_after(student): assert student.fine() == 1
        """,
        f"""
        import os, time
        def fine(): return 1
        def sock():
            return next(n for n in range(3, 64) if os.path.exists(f'/proc/self/fd/{{n}}')
                        and 'socket' in os.readlink(f'/proc/self/fd/{{n}}'))
        def crash(): {deed}
        """,
        budget_s=6,
    )
    assert [o.passed for o in report.outcomes] == [False, True]
    assert report.outcomes[0].verdict is not Verdict.GRADER_FAILED
    assert report.points == 2.0


def test_patched_libraries_change_nothing_here(check: Check) -> None:
    """What a learner patches in their process is not patched where the tests are."""
    report = check(
        """
        import torch
        def test_a(student): torch.testing.assert_close(student.f(), torch.tensor(3.0))
        def test_b(student): assert student.g() == 7
        """,
        """
        import builtins, pytest, torch
        torch.allclose = torch.equal = torch.testing.assert_close = lambda *a, **k: True
        pytest.raises = builtins.isinstance
        class Always(int):
            def __eq__(self, other): return True
            __hash__ = int.__hash__
        def f(): return torch.tensor(4.0)
        def g(): return Always(1)
        """,
    )
    assert report.points == 0.0


def test_setting_an_attribute_says_the_way_out(check: Check) -> None:
    """A test that sets an attribute of a handle is told to do it in a probe."""
    report = check("def test_a(student): student.Box().x = 1", "class Box: pass")
    assert "student.run(probe, …)" in report.outcomes[0].message


def test_probe_that_returns_no_value(check: Check) -> None:
    """A probe that returns an object is told that values travel."""
    report = check("def test_a(student): student.run(lambda Box: Box(), student.Box)", "class Box: pass")
    assert report.points == 0.0
    assert "Box" in report.outcomes[0].message


def test_same_seed_on_both_sides(check: Check) -> None:
    """Random numbers of the learner's process start from the test's seed too."""
    tests = "def test_a(student): assert student.f() == {}"
    code = "import random\ndef f(): return random.random()"
    import random

    random.seed(5)
    assert check(tests.format(random.random()), code, seed=5).passed

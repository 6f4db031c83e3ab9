"""run_tests: real pytest on a grade cell in memory, and whose fault each failure is."""

from __future__ import annotations

import random
import sys
import textwrap
from typing import Any

import numpy as np
import pytest
import torch

from torchdojo.checks import CheckReport, NamespaceStudent, Verdict, run_tests


def run(tests: str, student: str = "", **options: Any) -> CheckReport:
    """Run the tests of a cell against a student's cell."""
    namespace: dict[str, Any] = {}
    exec(compile(textwrap.dedent(student), "<student>", "exec"), namespace)
    source = textwrap.dedent(tests) + "\ncheck(points=4)\n"
    return run_tests(source, NamespaceStudent(namespace), 4, **options)


def test_all_points_when_all_tests_pass() -> None:
    """Every test passed: all points, exactly."""
    report = run("def test_a(student):\n    assert student.f() == 1\ndef test_b(): pass\n", "def f(): return 1")
    assert report.points == 4.0
    assert type(report.points) is float
    assert report.passed


def test_points_are_the_share_of_weights() -> None:
    """A test of weight 3 beside one of weight 1 is three quarters of the points."""
    report = run(
        """
        import pytest
        @pytest.mark.weight(3)
        def test_a(): pass
        def test_b(): assert False
        """
    )
    assert report.points == 3.0


def test_nothing_is_written_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """Neither prints nor warnings nor C code's writing in a test reach stdout or stderr."""
    run(
        """
        import os, sys, warnings
        def test_noise(student):
            student.f()
            os.write(2, b"from below")
            os.system("echo from a child >&2")
            print("out"); print("err", file=sys.stderr)
        """,
        "import warnings\ndef f(): warnings.warn('careful')",
    )
    assert capfd.readouterr() == ("", "")


def test_nobody_is_asked_for_input() -> None:
    """A solution that asks for input gets an error, and no test waits for a person."""
    outcome = run(
        """
        import os
        def test_a(student):
            assert os.read(0, 1) == b""
            assert student.f() == 1
        """,
        "def f(): return int(input())",
    ).outcomes[0]
    assert outcome.verdict is Verdict.RAISED
    assert outcome.exception == "EOFError"


def test_grade_cell_sees_nothing_of_other_cells() -> None:
    """A name of the learner's is not visible in a grade cell, except through `student`."""
    report = run("def test_a(): assert helper() == 1", "def helper(): return 1")
    assert report.outcomes[0].verdict is Verdict.GRADER_FAILED


def test_missing_name_is_not_attempted() -> None:
    """A function that the learner has not defined: not attempted, and its name is said."""
    outcome = run("def test_a(student): student.slope(3)").outcomes[0]
    assert outcome.verdict is Verdict.NOT_ATTEMPTED
    assert "slope" in outcome.message


def test_stub_is_not_attempted() -> None:
    """nbgrader's `raise NotImplementedError()` in the learner's function: not attempted."""
    outcome = run("def test_a(student): student.f()", "def f(): raise NotImplementedError()").outcomes[0]
    assert outcome.verdict is Verdict.NOT_ATTEMPTED


def test_unimplemented_with_a_message_is_raised() -> None:
    """A NotImplementedError of torch's (it has a message) is an error of the learner's code."""
    report = run("def test_a(student): student.f()", "def f(): raise NotImplementedError('no forward')")
    assert report.outcomes[0].verdict is Verdict.RAISED


def test_raised_names_the_line_of_the_students_code() -> None:
    """An exception of the learner's code: its class, its message, and the innermost line of theirs."""
    import linecache

    code = "def f(x):\n    y = x + 1\n    return y / 0\n"
    linecache.cache["<learner>"] = (len(code), None, code.splitlines(keepends=True), "<learner>")
    namespace: dict[str, Any] = {}
    exec(compile(code, "<learner>", "exec"), namespace)
    source = "def test_a(student): student.f(1)\ncheck(points=1)"
    outcome = run_tests(source, NamespaceStudent(namespace), 1).outcomes[0]
    assert outcome.verdict is Verdict.RAISED
    assert outcome.exception == "ZeroDivisionError"
    assert outcome.place is not None
    assert (outcome.place.line, outcome.place.text) == (3, "return y / 0")


def test_students_own_assert_is_raised() -> None:
    """An assert in the learner's code is their code raising, not the test's word."""
    outcome = run("def test_a(student): student.f()", "def f(): assert False, 'mine'").outcomes[0]
    assert outcome.verdict is Verdict.RAISED


def test_assert_in_a_callback_of_the_test_is_wrong() -> None:
    """An assertion in a function that the test hands over is the test's word, though the learner called it."""
    outcome = run(
        """
        def test_a(student):
            def callback(x):
                assert x == 2
            student.f(callback)
        """,
        "def f(callback): callback(1)",
    ).outcomes[0]
    assert outcome.verdict is Verdict.WRONG
    assert (outcome.expected, outcome.got) == ("2", "1")


def test_expected_and_got_of_a_plain_assert() -> None:
    """`assert got == expected` is told as expected and got."""
    outcome = run("def test_a(student): assert student.f() == 6", "def f(): return 7").outcomes[0]
    assert (outcome.verdict, outcome.expected, outcome.got) == (Verdict.WRONG, "6", "7")


def test_own_message_of_an_assert_is_told() -> None:
    """The message of an assert is what the learner reads, without pytest's rewriting below it."""
    outcome = run("def test_a(student): assert student.f(), 'f gives nothing'", "def f(): return 0").outcomes[0]
    assert outcome.message == "f gives nothing"


def test_shapes_come_first() -> None:
    """Tensors are told by shape and dtype before their numbers."""
    outcome = run(
        """
        import torch
        def test_a(student): torch.testing.assert_close(student.f(), torch.zeros(2, 3))
        """,
        "import torch\ndef f(): return torch.zeros(3)",
    ).outcomes[0]
    assert outcome.expected.startswith("tensor of shape (2, 3), float32")
    assert outcome.got.startswith("tensor of shape (3,), float32")


def test_missing_exception_is_told_as_expected() -> None:
    """pytest.raises that sees nothing raised: the class that was expected, and no exception."""
    outcome = run(
        """
        import pytest
        def test_a(student):
            with pytest.raises(ValueError):
                student.f()
        """,
        "def f(): return 1",
    ).outcomes[0]
    assert outcome.verdict is Verdict.WRONG
    assert "ValueError" in outcome.expected
    assert outcome.got == "no exception"


def test_message_that_does_not_match_is_wrong() -> None:
    """pytest.raises with match: an exception of the right class with another message is wrong, and quoted."""
    outcome = run(
        """
        import pytest
        def test_a(student):
            with pytest.raises(ValueError, match="42"):
                student.f()
        """,
        "def f(): raise ValueError('no number here')",
    ).outcomes[0]
    assert outcome.verdict is Verdict.WRONG
    assert "no number here" in outcome.got


def test_what_cannot_be_used_is_wrong() -> None:
    """What came back has no such attribute: wrong, not the grader's fault."""
    outcome = run("def test_a(student): student.f().shape", "def f(): return None").outcomes[0]
    assert outcome.verdict is Verdict.WRONG
    assert "'NoneType' object has no attribute 'shape'" in outcome.message


@pytest.mark.parametrize(
    "tests",
    [
        "import no_such_module\ndef test_a(): pass",
        "def test_a(): undefined_name",
        "def test_a(no_such_fixture): pass",
        "import pytest\n@pytest.mark.depends_on('test_z')\ndef test_a(): pass",
        "def test_a(:\n    pass",
    ],
)
def test_faults_of_the_tests_are_the_graders(tests: str) -> None:
    """An import, a name, a fixture, a dependency or a syntax that the tests have wrong costs no points."""
    report = run(tests)
    assert [o.verdict for o in report.outcomes] == [Verdict.GRADER_FAILED]
    assert report.points == 4.0


def test_dependent_test_is_skipped_when_the_other_fails() -> None:
    """A test that depends on one that failed is skipped, earns nothing, and says what it waits for."""
    report = run(
        """
        import pytest
        def test_a():
            '''The first.'''
            assert False
        @pytest.mark.depends_on("test_a")
        def test_b(): pass
        """
    )
    assert [o.verdict for o in report.outcomes] == [Verdict.WRONG, Verdict.SKIPPED]
    assert "The first." in report.outcomes[1].message
    assert report.points == 0.0


def test_dependency_may_stand_below() -> None:
    """A test runs after those it depends on, wherever they stand; the table keeps the order of the source."""
    report = run(
        """
        import pytest
        @pytest.mark.depends_on("test_b")
        def test_a(): pass
        def test_b(): pass
        """
    )
    assert report.passed
    assert [o.name for o in report.outcomes] == ["test_a", "test_b"]


def test_parametrized_test_is_one_row() -> None:
    """A parametrized test passes when every case does; the fingerprint has each case."""
    report = run(
        """
        import pytest
        @pytest.mark.parametrize("x", [1, 2, 3])
        def test_a(x): assert x != 2
        """
    )
    assert [o.cases for o in report.outcomes] == [("passed", "wrong", "passed")]
    assert report.outcomes[0].verdict is Verdict.WRONG


def test_fixtures_and_module_scope_work() -> None:
    """A grade cell may have fixtures of its own; one of module scope is made once."""
    report = run(
        """
        import pytest
        MADE = []
        @pytest.fixture(scope="module")
        def trained(student):
            MADE.append(1)
            return student.f()
        def test_a(trained): assert trained == 5
        def test_b(trained, tmp_path): assert MADE == [1] and tmp_path.is_dir()
        """,
        "def f(): return 5",
    )
    assert report.passed


def test_error_of_the_student_in_a_fixture_is_theirs() -> None:
    """The learner's exception in a fixture's setup is told as their code raising."""
    report = run(
        """
        import pytest
        @pytest.fixture
        def made(student): return student.f()
        def test_a(made): pass
        """,
        "def f(): return 1 / 0",
    )
    assert report.outcomes[0].verdict is Verdict.RAISED
    assert report.points == 0.0


@pytest.mark.parametrize(
    "call", ["pytest.skip('no')", "pytest.exit('no')", "raise SystemExit(0)", "pytest.xfail('no')"]
)
def test_student_cannot_skip_out_of_a_test(call: str) -> None:
    """A learner who skips, exits or xfails from within a test earns nothing for it."""
    report = run("def test_a(student):\n    student.f()\n    assert False", f"import pytest\ndef f(): {call}")
    assert report.points == 0.0
    assert report.outcomes[0].verdict is not Verdict.GRADER_FAILED


def test_skip_of_the_test_itself_is_not_run() -> None:
    """A test that says it cannot run here is neither passed nor failed."""
    report = run("import pytest\ndef test_a(): pytest.skip('no GPU here')\ndef test_b(): assert False")
    assert [o.verdict for o in report.outcomes] == [Verdict.NOT_RUN, Verdict.WRONG]
    assert report.points == 0.0


def test_interrupt_reaches_the_caller() -> None:
    """Ctrl-C in a test interrupts the cell."""
    with pytest.raises(KeyboardInterrupt):
        run("def test_a(): raise KeyboardInterrupt")


def test_same_seed_same_numbers_and_state_restored() -> None:
    """Every test starts from the seed; the notebook's own random states are as before."""
    tests = """
        import random, torch, numpy
        def test_a(student): student.seen.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
        def test_b(student): student.seen.append((random.random(), numpy.random.rand(), torch.rand(1).item()))
        """
    namespace: dict[str, Any] = {"seen": []}
    source = textwrap.dedent(tests) + "\ncheck(points=1)"
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # type: ignore[index,union-attr]
    run_tests(source, NamespaceStudent(namespace), 1, seed=3)
    assert namespace["seen"][0] == namespace["seen"][1]
    run_tests(source, NamespaceStudent(namespace), 1, seed=4)
    assert namespace["seen"][2] != namespace["seen"][0]
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]  # type: ignore[index,union-attr]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_outcomes_are_told_as_they_come() -> None:
    """The hook hears a test's name before it starts and its outcome once, after its last case."""
    heard: list[tuple[str, str]] = []
    run(
        """
        import pytest
        @pytest.mark.parametrize("x", [1, 2])
        def test_a(x): pass
        def test_b(): assert False
        """,
        on_outcome=lambda name, outcome: heard.append((name, outcome.verdict if outcome else "starts")),
    )
    assert heard == [("test_a", "starts"), ("test_a", "passed"), ("test_b", "starts"), ("test_b", "wrong")]


def test_environment_and_modules_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """PYTEST_ADDOPTS of the outside is not obeyed and not lost."""
    import os

    monkeypatch.setenv("PYTEST_ADDOPTS", "--collect-only")
    before = set(sys.modules)
    assert run("def test_a(): pass").passed
    assert os.environ["PYTEST_ADDOPTS"] == "--collect-only"
    assert "grade_cell" not in set(sys.modules) - before


def test_exception_with_a_broken_message_is_told() -> None:
    """A learner's exception whose __str__ raises is told by its class."""
    outcome = run(
        "def test_a(student): student.f()",
        """
        class Odd(Exception):
            def __str__(self): raise RuntimeError
        def f(): raise Odd
        """,
    ).outcomes[0]
    assert outcome.verdict is Verdict.RAISED
    assert "Odd" in outcome.message


def test_value_with_a_broken_repr_is_told() -> None:
    """A learner's object whose repr raises is told by its type."""
    outcome = run(
        "def test_a(student): assert student.Odd() == 1",
        """
        class Odd:
            def __repr__(self): raise RuntimeError
            def __eq__(self, other): return False
            __hash__ = None
        """,
    ).outcomes[0]
    assert outcome.verdict is Verdict.WRONG
    assert "Odd" in outcome.got

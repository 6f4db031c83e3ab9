"""Mutants: one change each, under keys that stay; the gate names what lives and what is written down falsely."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.conftest import SOLUTION, TESTS, small_cells, write_notebook
from torchdojo.authoring.leaks import leaks
from torchdojo.authoring.mutants import Mutant, mutants
from torchdojo.errors import AuthorError
from torchdojo.notebook import is_author_cell, parse_equivalents, read

STEP = '''\
import torch


@torch.no_grad()
def step(model, x, target, optimizer=None, scale: int = 2):
    """Take 1 step: `mean` of x == 0 and not more."""
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x is {x.ndim + 1}, want 2")
    optimizer.zero_grad()
    with torch.enable_grad():
        loss = (model(x.detach()) - target).square().mean(dim=0, keepdim=True) * 0.5
    for row in x[1:]:
        loss += row.sum(-1)
    model.eval()
    return loss, torch.stack([x, target])
'''


def _afters(source: str) -> dict[str, str]:
    return {mutant.key: "\n".join(line.strip() for line in mutant.after) for mutant in mutants([source])}


@pytest.mark.parametrize(
    "line",
    [
        "if x.ndim == 2 or not len(x):",
        "if x.ndim != 2 and not len(x):",
        "if x.ndim != 2 or len(x):",
        "if x.ndim != 3 or not len(x):",
        "if not len(x):",
        "if True:",
        "if False:",
        'raise ArithmeticError(f"x is {x.ndim + 1}, want 2")',
        "loss = (model(x) - target).square().mean(dim=0, keepdim=True) * 0.5",
        "loss = (model(x.detach()) + target).square().mean(dim=0, keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).mean(dim=0, keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).square().sum(dim=0, keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).square().mean(dim=1, keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).square().mean(dim=-1, keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).square().mean(dim=0, keepdim=False) * 0.5",
        "loss = (model(x.detach()) - target).square().mean(keepdim=True) * 0.5",
        "loss = (model(x.detach()) - target).square().mean(dim=0, keepdim=True) * 1.0",
        "loss = (model(x.detach()) - target).square().mean(dim=0, keepdim=True)",
        "with torch.no_grad():",
        "for row in x[:]:",
        "for row in x[2:]:",
        "loss = row.sum(-1)",
        "loss -= row.sum(-1)",
        "loss += row.sum()",
        "loss += row.sum(-1, keepdim=True)",
        "loss += row",
        "model.train()",
        "pass",
        "return (torch.stack([x, target]), loss)",
        "return loss, torch.stack([x])",
        "return loss, [x, target]",
        "return loss, torch.cat([x, target])",
        "def step(model, x, target, optimizer=0, scale: int = 2):",
        "def step(model, x, target, optimizer=None, scale: int = 3):",
        "",
    ],
)
def test_what_is_altered(line: str) -> None:
    """Operators, constants, arguments, dims, reductions, calls, guards, modes: each gives the line one would write."""
    assert line in _afters(STEP).values()


def test_each_mutant_is_one_change_of_running_python() -> None:
    """A mutant compiles, differs from the source and from all other mutants, and has a key of its own."""
    found = mutants([STEP])
    trees = {ast.dump(ast.parse(mutant.sources[0])) for mutant in found}
    assert len(trees | {ast.dump(ast.parse(STEP))}) == len(found) + 1
    assert len({mutant.key for mutant in found}) == len(found)
    for mutant in found:
        compile(mutant.sources[0], "<mutant>", "exec", dont_inherit=True)


def test_no_mutant_is_idle() -> None:
    """What cannot make a difference is left out: `x = x` beside `pass`, a zero with a sign."""
    found = _afters("def f(x):\n    x = x.double()\n    total = 0.0\n    return x + total")
    assert "x = x" not in found.values()
    assert "pass" in found.values()
    assert "total = -0.0" not in found.values()
    assert "total = 1.0" in found.values()


def test_prose_stays() -> None:
    """Docstrings, annotations and texts of errors are in every mutant that keeps their statement."""
    for mutant in mutants([STEP]):
        assert '"""Take 1 step: `mean` of x == 0 and not more."""' in mutant.sources[0]
        assert 'Error(f"x is {x.ndim + 1}, want 2")' in mutant.sources[0] or "raise" not in mutant.sources[0]
        assert "scale: int" in mutant.sources[0]


def test_keys_stay() -> None:
    """The same source gives the same mutants, and a line changed elsewhere gives other keys to none of another kind."""
    assert mutants([STEP]) == mutants([STEP])
    before = _afters(STEP)
    after = _afters(STEP.replace("model.eval()", "model.eval().cpu()"))
    assert {key: after.get(key) for key in before if key.startswith(("other-comparison", "drop-keyword"))} == {
        key: line for key, line in before.items() if key.startswith(("other-comparison", "drop-keyword"))
    }


def test_two_cells_count_on() -> None:
    """With several solution cells a key is still unique, and the other cells come along unaltered."""
    found = mutants(["def one():\n    return 1", "def two():\n    return 2"])
    assert [(m.key, m.cell) for m in found if m.key.startswith("plus-one")] == [("plus-one-1", 0), ("plus-one-2", 1)]
    second = next(m for m in found if m.key == "plus-one-2")
    assert second.sources == ("def one():\n    return 1", "def two():\n    return 3")


def test_parentheses_where_they_must_be() -> None:
    """What is left of an expression keeps its meaning where it is put."""
    assert "return (a + b) * c" in _afters("def f(a, b, c):\n    return (a + b).abs() * c").values()
    assert "return (a + b) / c" in _afters("def f(a, b, c):\n    return (a + b) * c").values()
    assert "return µ + b  # Ünïcode" in _afters("def f(µ, b):\n    return µ.sum(1) + b  # Ünïcode").values()


EQUIVALENT = """\
%%equivalent other-name-1 swap-pair-1
because: both are the same for a list of one
---
- return mean(x)
+ return sum(x)

- return a, b
+ return (b, a)"""


def test_an_equivalent_cell() -> None:
    """One reason for one mutant or several, each with its lines."""
    first, second = parse_equivalents(EQUIVALENT, "cell 7")
    assert (first.key, first.source) == ("other-name-1", "- return mean(x)\n+ return sum(x)")
    assert (second.key, second.header["because"]) == ("swap-pair-1", "both are the same for a list of one")


def test_students_do_not_get_an_equivalent_cell() -> None:
    """Release drops it, and the last look finds one that is left."""
    assert is_author_cell(EQUIVALENT)
    left = new_notebook(cells=[new_code_cell(f" {EQUIVALENT}".replace(" %%", "# note\n%%"), id="left")])
    assert [leak.cell_id for leak in leaks(new_notebook(), left)] == ["left"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (" other-name-1 swap-pair-1", "", "needs keys"),
        ("because: both are the same for a list of one\n", "", "misses because"),
        ("because:", "why:", "cannot read header line"),
        ("\n---", "", "no line '---'"),
        (" swap-pair-1", "", "1 keys and 2 alterations"),
        ("- return a, b", "return a, b", "2 keys and 2 alterations"),
    ],
)
def test_a_faulty_equivalent_cell(old: str, new: str, told: str) -> None:
    """An error names the cell, what is missing, and what to write."""
    with pytest.raises(AuthorError, match=f"cell 7: .*{told}"):
        parse_equivalents(EQUIVALENT.replace(old, new), "cell 7")


WEAK = TESTS.partition("### BEGIN")[0] + "check(points=3)"


def _cells(tests: str, *more: str, solution: str = SOLUTION) -> Callable[[list[Any]], None]:
    def change(cells: list[Any]) -> None:
        cells[2].source, cells[3].source = solution, tests
        del cells[4:]
        cells += [new_code_cell(source, id=f"more-{number}") for number, source in enumerate(more)]

    return change


# Trials are forked, so they run in a process of their own: one for all tests here, since it starts slowly.
SERVER = """
import json, sys
from pathlib import Path
from torchdojo.authoring.mutation import mutate
from torchdojo.errors import AuthorError
for line in sys.stdin:
    try:
        (report,) = mutate(Path(json.loads(line)))
    except AuthorError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        continue
    answer = {"killed": report.killed, "equivalent": report.equivalent, "findings": [str(f) for f in report.findings]}
    print(json.dumps(answer | {"survivors": {m.key: m.diff for m in report.survivors}}), flush=True)
"""
Gate = Callable[[Path], dict[str, Any]]


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    """What `mutate` says of a notebook."""
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def ask(path: Path) -> dict[str, Any]:
            server.stdin.write(json.dumps(str(path)) + "\n")  # type: ignore[union-attr]
            server.stdin.flush()  # type: ignore[union-attr]
            answer: dict[str, Any] = json.loads(server.stdout.readline())  # type: ignore[union-attr]
            return answer

        yield ask
        server.stdin.close()


def test_strong_tests_kill_every_mutant(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """Nothing survives, and each mutant has its killer."""
    report = gate(small_notebook())
    assert report["survivors"] == report["equivalent"] == {}
    assert report["findings"] == []
    assert set(report["killed"].values()) <= {"test_of_three", "test_of_a_negative_number", "test_of_text"}


def test_what_does_not_end_or_dies_is_killed(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """A mutant that loops for ever is stopped after three times the reference's time and 5 s; one that exits, dies."""
    loops = "    import os\n    while x > 9:\n        x -= 1\n    if x > 9:\n        os._exit(3)\n"
    solution = SOLUTION.replace("    twice_of_what_was_given =", loops + "    twice_of_what_was_given =")
    report = gate(small_notebook(_cells(WEAK.replace("double(3) == 6", "double(11) == 18"), solution=solution)))
    assert report["killed"]["drop-statement-1"] == "test_of_three (Timeout)"
    assert report["killed"]["always-1"] == "test_of_three (ProcessDied)"


def test_a_test_at_fault_kills_nobody(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """A mutant whose only trouble is a test that fails by its own fault earns all points, so it lives."""
    tests = WEAK.replace("    assert", "    if student.double(3) != 6:\n        undefined_name\n    assert").replace(
        "assert student.double(3) == 6", "assert student.double(0) == 0"
    )
    report = gate(small_notebook(_cells(tests, solution=SOLUTION.replace("x + x", "x * 2"))))
    assert "plus-one-1" in report["survivors"]


def test_a_reference_that_fails_is_the_authors(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """Mutants of a reference that its own tests refuse say nothing: it is said so, and none is run."""
    report = gate(small_notebook(_cells(TESTS, solution=SOLUTION.replace("x + x", "x + 1"))))
    assert "double: its reference does not pass its tests" in report["error"]


BELIEVED = "%%equivalent {key}\nbecause: adding is what it is\n---\n{lines}"
LINES = "- twice_of_what_was_given = x + x\n+ twice_of_what_was_given = x"
FALSE = {
    "no such mutant": ("other-sign-9", LINES, "other-sign-9 (cell 5): is no mutant's key"),
    "other lines now": ("left-only-1", LINES + " + 1", "left-only-1 (cell 5): alters other lines now"),
    "a test kills it": ("left-only-1", LINES, "left-only-1 (cell 5): is killed by test_of_three"),
}


@pytest.mark.parametrize("which", FALSE)
def test_a_false_equivalent_is_a_finding(which: str, gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """An `%%equivalent` that matches no survivor any more is named with what to do."""
    key, lines, told = FALSE[which]
    report = gate(small_notebook(_cells(TESTS, BELIEVED.format(key=key, lines=lines))))
    assert report["equivalent"] == {}
    assert [told in finding for finding in report["findings"]] == [True]


def test_a_true_equivalent_is_no_survivor(gate: Gate, small_notebook: Callable[..., Path]) -> None:
    """A survivor that is written down, with its lines, is counted as equivalent."""
    source = SOLUTION.replace("x + x", "max(x, x) + x")
    left = gate(small_notebook(_cells(TESTS, solution=source)))["survivors"]
    assert left
    cell = BELIEVED.format(key=" ".join(left), lines="\n\n".join(left.values()))
    path = small_notebook(_cells(TESTS, cell, solution=source))
    assert [v.key for v in read(path).exercises[0].equivalents] == list(left)
    report = gate(path)
    assert report["equivalent"] == dict.fromkeys(left, "adding is what it is")
    assert report["survivors"] == {}
    assert report["findings"] == []


def test_the_command_prints_survivors_as_they_are_written_down(small_course: Path) -> None:
    """Lines of what lives on stdout, the share that was killed, JSON in a file, exit status 1."""
    path = small_course / "source" / "01-small" / "01-small.ipynb"
    cells = small_cells()
    _cells(WEAK.replace("double(3) == 6", "double(0) == 0"), solution=SOLUTION.replace("x + x", "x * 2"))(cells)
    write_notebook(path, cells)
    command = [sys.executable, "-m", "torchdojo", "verify", "01-small", "--mutate", "--json", "found.json"]
    run = subprocess.run(command, cwd=small_course, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    assert "double: plus-one-1 survives, line 4" in run.stdout
    assert "- twice_of_what_was_given = x * 2\n+ twice_of_what_was_given = x * 3" in run.stdout
    (report,) = json.loads((small_course / "found.json").read_text())["01-small"]
    assert report["mutants"] == len(report["killed"]) + len(report["survivors"])
    assert "plus-one-1" in [survivor["key"] for survivor in report["survivors"]]


def test_mutants_are_plain_records() -> None:
    """A mutant's diff has the altered lines only, without their indentation."""
    (mutant,) = (m for m in mutants([SOLUTION]) if m.key == "other-sign-1")
    assert isinstance(mutant, Mutant)
    assert mutant.diff == "- twice_of_what_was_given = x + x\n+ twice_of_what_was_given = x - x"
    assert mutant.line == 4

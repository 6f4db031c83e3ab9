"""A grade cell's tests as code and as a module in memory: asserts rewritten by pytest, the call of `check` left out."""

from __future__ import annotations

import ast
import hashlib
import linecache
from types import CodeType, ModuleType

from _pytest.assertion.rewrite import rewrite_asserts

from torchdojo.grade_cell import is_check, parsed


def test_names(source: str) -> list[str]:
    """Names of the test functions of a grade cell, in source order."""
    return [
        node.name for node in parsed(source).body if isinstance(node, ast.FunctionDef) and node.name.startswith("test")
    ]


test_names.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever its name


def compile_tests(source: str) -> CodeType:
    """The code of a grade cell's tests.

    Raises:
        SyntaxError: the cell is not Python.
    """
    tree = parsed(source, file_of(source))
    tree.body = [node for node in tree.body if not is_check(node)]
    rewrite_asserts(tree, source.encode())
    return compile(tree, file_of(source), "exec", dont_inherit=True)


def file_of(source: str) -> str:
    """The file name that tracebacks of a grade cell's tests show; another for every source."""
    return f"<grade cell {hashlib.sha256(source.encode('utf-8', 'replace')).hexdigest()[:8]}>"


def new_module(source: str, code: CodeType | None = None) -> ModuleType:
    """A fresh module in which the tests are defined.

    Args:
        source: the grade cell.
        code: what `compile_tests` made of it, where that was done already.

    Raises:
        Exception: whatever the cell raises; the author must mend it.
    """
    filename = file_of(source)
    module = ModuleType("grade_cell")
    module.__file__ = filename
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    exec(code if code is not None else compile_tests(source), vars(module))
    return module

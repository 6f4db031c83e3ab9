"""Scratch namespaces: a variant's code over the notebook's own names, without the exercise's reference."""

from __future__ import annotations

import ast
import itertools
import linecache
from collections.abc import Iterable
from typing import Any

from torchdojo.checks import NamespaceStudent

_numbers = itertools.count(1)


def scratch_student(sources: Iterable[str], base: dict[str, Any], leave_out: Iterable[str] = ()) -> NamespaceStudent:
    """Run `sources`, one after the other, in a copy of `base` and return the student who wrote them.

    Args:
        sources: the cells of a solution, right or wrong.
        base: names of the notebook that the code may use; not changed.
        leave_out: names of `base` that must not answer for the variant: those of the exercise itself.

    Raises:
        Exception: whatever the code raises while it is defined.
    """
    hidden = set(leave_out)
    namespace = {name: value for name, value in base.items() if name not in hidden}
    for source in sources:
        filename = f"<scratch {next(_numbers)}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
        exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    return NamespaceStudent(namespace, base)


def defined_names(sources: Iterable[str]) -> list[str]:
    """Names of the functions and classes that cells define at their top level."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    return [node.name for source in sources for node in ast.parse(source).body if isinstance(node, kinds)]

"""The text of one grade cell: the points in its last line, its hidden regions. Light to import; knows no notebook."""

from __future__ import annotations

import ast
import functools
import threading

from torchdojo.errors import AuthorError

HIDDEN_BEGIN, HIDDEN_END = "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"
_TELLING = 12  # characters of a line from which it is no coincidence

# Python 3.11 counts the depth of the tree that it builds for all threads together: of two that parse at once, one may
# get "AST constructor recursion depth mismatch" (seen in a batch under load; later versions count for each).
_one_parses = threading.Lock()


def parsed(source: str, filename: str = "<cell>") -> ast.Module:
    """As `ast.parse`, for code that several threads may call at once."""
    with _one_parses:
        return ast.parse(source, filename)


def is_check(node: ast.stmt) -> bool:
    """Whether a statement is a call of `check`."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "check"
    )


@functools.lru_cache(maxsize=256)  # a class has the same tests
def check_points(source: str) -> float | None:
    """The number in the last line `check(points=3)` of a grade cell, or None: it ends otherwise, or is not Python."""
    try:
        body = parsed(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # also IPython's own magics: not a cell of ours
        return None
    if not body or not is_check(body[-1]):
        return None
    for keyword in body[-1].value.keywords:  # type: ignore[attr-defined]  # is_check has seen what it is
        value = keyword.value
        if keyword.arg == "points" and isinstance(value, ast.Constant):
            number = value.value
            return float(number) if isinstance(number, int | float) and not isinstance(number, bool) else None
    return None


def points_in_check(source: str, where: str) -> float:
    """As `check_points`, for an author. Raises AuthorError, which begins with `where`, when there is none."""
    points = check_points(source)
    if points is not None:
        return points
    try:
        parsed(source)
    except SyntaxError as error:
        raise AuthorError(f"{where}: the grade cell is not Python (line {error.lineno}: {error.msg}).") from error
    raise AuthorError(f"{where}: a grade cell must end with check(points=…), a number. Add that line.")


def visible_part(tests: str) -> str:
    """A grade cell's source without its hidden regions: what a student gets."""
    return "\n".join(line for line, hidden in _marked(tests) if not hidden)


@functools.lru_cache(maxsize=256)
def hidden_lines(tests: str) -> frozenset[str]:
    """The telling lines of a grade cell's hidden regions, stripped, that its visible part has not."""
    visible = {line.strip() for line, hidden in _marked(tests) if not hidden}
    hidden = {line.strip() for line, hidden in _marked(tests) if hidden}
    return frozenset(line for line in hidden - visible if len(line) >= _TELLING)


def _marked(tests: str) -> list[tuple[str, bool]]:
    """Lines without the markers, each with whether it is hidden."""
    marked, hidden = [], False
    for line in tests.splitlines():
        if HIDDEN_BEGIN in line:
            hidden = True
        elif HIDDEN_END in line:
            hidden = False
        else:
            marked.append((line, hidden))
    return marked

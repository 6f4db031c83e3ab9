"""A cell's source, its tree, and the text of each node: enough to alter one thing and leave the rest as written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ATOMS = (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript, ast.List, ast.Dict, ast.Set)


@dataclass(frozen=True, slots=True)
class Change:
    """Bytes `start` to `end` of a source become `text`. An `expression` may need parentheses there."""

    operator: str
    start: int
    end: int
    text: str
    expression: bool = True


class Code:
    """A source, its tree, and where in the text each node is."""

    def __init__(self, source: str) -> None:
        self.raw = source.encode()
        self.tree = ast.parse(source)
        self.parents = {child: node for node in ast.walk(self.tree) for child in ast.iter_child_nodes(node)}
        self.bound = {n.id for n in ast.walk(self.tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        self.bound |= {n.arg for n in ast.walk(self.tree) if isinstance(n, ast.arg)}
        self._starts = [0]
        for line in self.raw.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt | ast.keyword) -> tuple[int, int]:
        """Bytes from … to …; parentheses around an expression are not its own."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: ast.expr | ast.stmt | ast.keyword) -> str:
        start, end = self.span(node)
        return self.raw[start:end].decode()

    def atom(self, node: ast.expr) -> str:
        """The text of an expression, in parentheses unless it is one piece."""
        return self.text(node) if isinstance(node, _ATOMS) else f"({self.text(node)})"

    def spliced(self, change: Change, text: str | None = None) -> str:
        """The source with the change in it."""
        new = change.text if text is None else text
        return (self.raw[: change.start] + new.encode() + self.raw[change.end :]).decode()

    def replace(self, operator: str, node: ast.expr | ast.keyword, text: str) -> Change:
        """A change of a whole expression."""
        return Change(operator, *self.span(node), text, expression=not isinstance(node, ast.keyword))

    def drop(self, operator: str, node: ast.stmt) -> Change:
        """A change of a statement into `pass`."""
        return Change(operator, *self.span(node), "pass", expression=False)

    def between(self, operator: str, a: ast.expr, b: ast.expr, old: str, new: str) -> Iterator[Change]:
        """A change of the sign that stands between two expressions."""
        start, end = self.span(a)[1], self.span(b)[0]
        pattern = rb"\s+".join(re.escape(word.encode()) for word in old.split())
        match = re.search(pattern, self.raw[start:end])
        if match:
            yield Change(operator, start + match.start(), start + match.end(), new, expression=False)

    def is_value(self, node: ast.expr) -> bool:
        """Whether it is computed here: no imported module, class or function."""
        while isinstance(node, ast.Attribute):
            node = node.value
        return not isinstance(node, ast.Name) or node.id in self.bound

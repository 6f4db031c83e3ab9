"""What there is to translate in a source notebook, and which of it students may see."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeGuard

from torchdojo.authoring.prose import docstring_pieces, markdown_pieces
from torchdojo.authoring.starter import starter
from torchdojo.checks.gathered import name_in_words
from torchdojo.grade_cell import visible_part
from torchdojo.notebook import AUTHOR_LINE, is_author_cell, parse_hints, parse_variant

_LETTERS = 4  # a template with fewer of its own fits nearly everything


@dataclass(frozen=True, slots=True)
class Text:
    """A text to translate: where it stands, what it is, whether students may see it.

    `template`: it has placeholders as `str.format` has them. Otherwise braces are braces.
    """

    text: str
    cell: str
    role: str
    hidden: bool = False
    template: bool = False

    @property
    def key(self) -> str:
        """The text as a template."""
        return self.text if self.template else as_template(self.text)


def as_template(text: str) -> str:
    """A text without placeholders, as `str.format` would write it."""
    return text.replace("{", "{{").replace("}", "}}")


def texts(node: Any, where: str = "the notebook") -> list[Text]:
    """All there is to translate in a source notebook (as nbformat has it), in its order."""
    found: list[Text] = []
    for cell in node.cells:
        meta = cell.metadata.get("nbgrader") or {}
        if cell.cell_type == "markdown":
            found += [Text(piece, cell.id, "text") for piece in markdown_pieces(cell.source)]
        elif cell.cell_type != "code" or cell.source.strip() == AUTHOR_LINE:
            continue
        elif is_author_cell(cell.source):
            found += _of_author_cell(cell, where)
        elif meta.get("grade") and not meta.get("solution"):
            found += _of_tests(cell)
        elif meta.get("solution"):
            found += [Text(piece, cell.id, "docstring") for piece in docstring_pieces(starter(cell.source))]
    return found


def _of_author_cell(cell: Any, where: str) -> Iterator[Text]:
    if cell.source.startswith("%%hints"):
        for number, hint in enumerate(parse_hints(cell.source), start=1):
            yield Text(hint, cell.id, f"hint {number}", hidden=True)
        return
    if cell.source.startswith("%%misconception"):
        variant = parse_variant(cell.source, where)
        yield Text(variant.title, cell.id, f"misconception {variant.key}", hidden=True)
        yield Text(variant.hint, cell.id, f"hint of {variant.key}", hidden=True)


def _of_tests(cell: Any) -> Iterator[Text]:
    visible = {(each.text, each.role) for each in _said(cell.id, visible_part(cell.source), hidden=False)}
    for each in _said(cell.id, cell.source, hidden=True):
        is_visible = (each.text, each.role) in visible
        yield Text(each.text, each.cell, each.role, hidden=not is_visible, template=each.template)


def test_titles(tests: str) -> dict[str, str]:
    """What a learner reads when a test of this grade cell fails, by the test's name, in source order."""
    return {each.name: _title(each) for each in ast.parse(tests).body if _is_test(each)}


test_titles.__test__ = False  # type: ignore[attr-defined]  # not a test, whatever its name


def _is_test(node: ast.stmt) -> TypeGuard[ast.FunctionDef]:
    return isinstance(node, ast.FunctionDef) and node.name.startswith("test")


def _title(function: ast.FunctionDef) -> str:
    return " ".join((ast.get_docstring(function) or name_in_words(function.name)).split())


def _said(cell_id: str, source: str, *, hidden: bool) -> Iterator[Text]:
    for function in ast.parse(source).body:
        name = getattr(function, "name", "")
        if _is_test(function):
            yield Text(_title(function), cell_id, f"title of {name}", hidden)
        for node in ast.walk(function):
            for expression in _messages(node):
                for template in templates(expression):
                    yield Text(template, cell_id, f"message of {name}", hidden, template=True)


def _messages(node: ast.AST) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assert) and node.msg is not None:
        yield node.msg
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("pytest.fail", "pytest.skip"):
        yield from node.args[:1]
        yield from (each.value for each in node.keywords if each.arg in ("reason", "msg"))


def templates(expression: ast.expr) -> Iterator[str]:
    """The texts that an expression may give, with placeholders for what is filled in.

    A name stands for itself, any other expression for a number.
    """
    if isinstance(expression, ast.IfExp):
        yield from templates(expression.body)
        yield from templates(expression.orelse)
        return
    if isinstance(expression, ast.BoolOp):
        for value in expression.values:
            yield from templates(value)
        return
    parts = list(_parts(expression))
    names: list[str] = []
    for part in parts:
        if not isinstance(part, str):
            name = part.id if isinstance(part, ast.Name) else f"part{len(names) + 1}"
            names.append(name if name not in names else f"{name}_{len(names) + 1}")
    literal = "".join(part for part in parts if isinstance(part, str))
    if sum(map(str.isalpha, literal)) < _LETTERS:
        return
    rest = iter(names)
    yield "".join(as_template(part) if isinstance(part, str) else "{" + next(rest) + "}" for part in parts)


def _parts(expression: ast.expr) -> Iterator[str | ast.expr]:
    if isinstance(expression, ast.JoinedStr):
        for value in expression.values:
            if isinstance(value, ast.Constant):
                yield str(value.value)
            elif isinstance(value, ast.FormattedValue):
                yield value.value
    elif isinstance(expression, ast.BinOp) and isinstance(expression.op, ast.Add):
        yield from _parts(expression.left)
        yield from _parts(expression.right)
    elif isinstance(expression, ast.Constant) and isinstance(expression.value, str):
        yield expression.value
    else:
        yield expression

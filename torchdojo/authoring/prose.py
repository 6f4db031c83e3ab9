"""Markdown and docstrings in pieces that can be translated one by one: a paragraph, a list item, a table, a drawing.

Small enough that an edit leaves the other pieces alone; what lies between them (blank lines, list marks, indents) is
no piece and stays. Knows no notebook and no catalogue.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Callable, Iterator

Translate = Callable[[str], str]

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_MARK = re.compile(r"^(?:\s*(?:[-*+]|\d+[.)]|#{1,6}|>)[ \t]+)*")
_TABLE = re.compile(r"^\s*\|")
_STARTS_A_PIECE = re.compile(r"^\s*(?:[-*+]|\d+[.)]|#{1,6}|>)[ \t]+|^\s*\*●|^\s*\*○|^\s*<")
_WORDS = re.compile(r"[^\W\d_]{2,}")
_NOT_WORDS = re.compile(r"`[^`]*`|\$[^$]*\$|<[^>]*>|https?://\S+")


def markdown_pieces(text: str) -> list[str]:
    """The pieces of a markdown cell that hold words, in their order."""
    found: list[str] = []
    translate_markdown(text, lambda piece: found.append(piece) or piece)  # type: ignore[func-returns-value]
    return found


def translate_markdown(text: str, translate: Translate) -> str:
    """The cell with `translate` of each piece in its place."""
    return "\n".join(_translated(block, translate) for block in _blocks(text.split("\n")))


def docstring_pieces(source: str) -> list[str]:
    """The pieces of the docstrings of a code cell, in their order. None where it is no Python."""
    found: list[str] = []
    translate_docstrings(source, lambda piece: found.append(piece) or piece)  # type: ignore[func-returns-value]
    return found


def translate_docstrings(source: str, translate: Translate) -> str:
    r"""The code cell with `translate` of each piece of its docstrings; its code is as it was.

    Raises: ValueError when a translation would end the docstring it stands in, or has a \ that Python would read.
    """
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    lines = source.encode().splitlines(keepends=True)
    for node in sorted(_docstrings(tree), key=lambda each: -each.lineno):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, behind = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        whole = b"".join(lines[first : last + 1])
        literal = whole[node.col_offset : len(whole) - len(behind)].decode()
        new = _translated_literal(literal, node.col_offset, translate)
        lines[first : last + 1] = [before + new.encode() + behind]
    translated = b"".join(lines).decode()
    if _code(translated) != _code(source):
        raise ValueError("a translated docstring changes the code around it. Take quotes and backslashes out of it.")
    return translated


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            value = first.value if isinstance(first, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value


def _code(source: str) -> str:
    tree = ast.parse(source)
    for node in _docstrings(tree):
        node.value = ""
    return ast.dump(tree)


def _translated_literal(literal: str, indent: int, translate: Translate) -> str:
    match = re.fullmatch(r'([rR]?("""|\'\'\'|"|\'))(.*?)(\2)', literal, re.S)
    if match is None or ("\\" in match[3] and not literal.startswith(("r", "R"))):
        return literal
    margin = "\n" + " " * indent
    blocks = re.split(r"(\n[ \t]*\n\s*?)(?=[ \t]*\S|\Z)", match[3])
    text = ""
    for number, block in enumerate(blocks):
        if number % 2:
            text += block
            continue
        lead = re.match(r"\s*", block)[0]  # type: ignore[index]  # it matches the empty text
        body, tail = block[len(lead) :].rstrip(), block[len(lead) + len(block[len(lead) :].rstrip()) :]
        first, *others = body.split("\n")
        inner = "\n".join([first, *textwrap.dedent("\n".join(others)).split("\n")]) if others else first
        own = margin + " " * _common_indent(others, indent) if others else margin
        text += lead + (translate(inner).replace("\n", own) if _has_words(inner) else body) + tail
    return match[1] + text + match[4]


def _common_indent(lines: list[str], base: int) -> int:
    depths = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    return max(min(depths, default=base) - base, 0)


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Lines that belong together: a fence, a table, a paragraph or list item; or one blank line."""
    at = 0
    while at < len(lines):
        fence = _FENCE.match(lines[at])
        end = at + 1
        if fence:
            while end < len(lines) and not lines[end].lstrip().startswith(fence[1]):
                end += 1
            end += 1
        elif _TABLE.match(lines[at]):
            while end < len(lines) and _TABLE.match(lines[end]):
                end += 1
        elif lines[at].strip() and not re.match(r"^\s*#", lines[at]):
            while end < len(lines) and lines[end].strip() and not _begins(lines[end]):
                end += 1
        yield lines[at:end]
        at = end


def _begins(line: str) -> bool:
    return bool(_FENCE.match(line) or _TABLE.match(line) or _STARTS_A_PIECE.match(line))


def _translated(block: list[str], translate: Translate) -> str:
    text = "\n".join(block)
    mark = "" if _FENCE.match(text) or _TABLE.match(text) else _MARK.match(text)[0]  # type: ignore[index]
    body = text[len(mark) :]
    stripped = body.strip()
    if not _has_words(stripped):
        return text
    lead = body[: len(body) - len(body.lstrip())]
    tail = body[len(body.rstrip()) :]
    return mark + lead + translate(stripped) + tail


def _has_words(text: str) -> bool:
    fenced = _FENCE.match(text)
    if fenced and text.split("\n")[0].strip(" `~") not in ("", "text"):
        return False  # code
    return bool(_WORDS.search(text if fenced else _NOT_WORDS.sub("", text)))

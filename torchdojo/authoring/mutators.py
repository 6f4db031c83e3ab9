"""Alterations of Python as it is written for PyTorch: operators, constants, arguments, dims, reductions, calls, modes.

An alteration replaces a span of the text, so that comments, docstrings and layout stay. Adding one: a generator of
`Change`s from a node, and its name in the table at the end.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence

from torchdojo.authoring.source_code import Change, Code

OTHER_SIGN = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "//"), ast.Pow: ("**", "*"), ast.MatMult: ("@", "*"), ast.BitAnd: ("&", "|"), ast.BitOr: ("|", "&"),
    ast.LShift: ("<<", ">>"), ast.RShift: (">>", "<<"), ast.BitXor: ("^", "|"),
}  # fmt: skip
OTHER_COMPARISON = {
    ast.Eq: ("==", ("!=",)), ast.NotEq: ("!=", ("==",)), ast.Lt: ("<", ("<=", ">=")), ast.LtE: ("<=", ("<", ">")),
    ast.Gt: (">", (">=", "<=")), ast.GtE: (">=", (">", "<")), ast.Is: ("is", ("is not",)),
    ast.IsNot: ("is not", ("is",)), ast.In: ("in", ("not in",)), ast.NotIn: ("not in", ("in",)),
}  # fmt: skip
_PAIRS = (
    "mean sum", "max min", "amax amin", "argmax argmin", "any all", "std var", "maximum minimum", "cumsum cumprod",
    "zeros ones", "zeros_like ones_like", "zeros_ ones_", "floor ceil", "softmax log_softmax", "stack cat",
    "rand randn", "train eval", "no_grad enable_grad", "float32 float64", "int64 int32", "float16 bfloat16",
    "squeeze unsqueeze", "append extend", "modules children", "named_modules named_children",
    "parameters buffers", "named_parameters named_buffers", "ModuleList Sequential", "Adam SGD",
)  # fmt: skip
OTHER_NAME = {a: b for pair in _PAIRS for a, b in (pair.split(), pair.split()[::-1])}
OTHER_NAME |= {"prod": "sum", "float": "double", "long": "int", "nansum": "sum", "nanmean": "mean"}
_REDUCTIONS = (
    "mean", "sum", "max", "min", "amax", "amin", "argmax", "argmin", "any", "all", "std", "var", "prod", "norm",
)  # fmt: skip
_DIMS = ("dim", "axis")
_WORD = re.compile(r"\A[A-Za-z_][\w.-]*\Z")

Mutator = Callable[[Code, ast.AST], Iterator[Change]]


def changes(code: Code) -> Iterator[Change]:
    """All changes of a source, in the order of its nodes."""
    for node in _nodes(code.tree):
        for mutator in MUTATORS:
            yield from mutator(code, node)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes in source order, without docstrings, annotations, imports, and what an error says."""
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "exc", "cause", "type_comment", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr | ast.Import | ast.ImportFrom):
                continue  # in Python 3.11, places inside an f-string are wrong
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            yield from _nodes(child)


def signs(code: Code, node: ast.AST) -> Iterator[Change]:
    """+ for -, < for <=, `and` for `or`; one operand alone; without `not`."""
    if isinstance(node, ast.BinOp) and type(node.op) in OTHER_SIGN:
        yield from code.between("other-sign", node.left, node.right, *OTHER_SIGN[type(node.op)])
        yield code.replace("left-only", node, code.text(node.left))
        yield code.replace("right-only", node, code.text(node.right))
    elif isinstance(node, ast.AugAssign) and type(node.op) in OTHER_SIGN:
        old, new = OTHER_SIGN[type(node.op)]
        yield from code.between("other-sign", node.target, node.value, f"{old}=", f"{new}=")
        yield from code.between("only-assign", node.target, node.value, f"{old}=", "=")
    elif isinstance(node, ast.Compare):
        for left, sign, right in zip([node.left, *node.comparators], node.ops, node.comparators, strict=False):
            old, others = OTHER_COMPARISON[type(sign)]
            for new in others:
                yield from code.between("other-comparison", left, right, old, new)
    elif isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from code.between("other-logic", left, right, old, new)
        for index in range(len(node.values)):
            rest = [value for place, value in enumerate(node.values) if place != index]
            text = f" {old} ".join(map(code.atom, rest)) if len(rest) > 1 else code.text(rest[0])
            yield code.replace("drop-condition", node, text)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.Not):
            yield code.replace("drop-not", node, code.text(node.operand))
        elif not isinstance(node.operand, ast.Constant):
            yield code.replace("drop-sign", node, code.text(node.operand))


def constants(code: Code, node: ast.AST) -> Iterator[Change]:
    """One more, one less, the negative, twice as much, the other truth, another word."""
    if not isinstance(node, ast.Constant | ast.UnaryOp):
        return
    value = node.value if isinstance(node, ast.Constant) else _negative(node)
    parent = code.parents[node]
    if value is None:
        if isinstance(parent, ast.arguments):
            yield code.replace("other-default", node, "0")
    elif isinstance(parent, ast.UnaryOp) and _negative(parent) is not None:
        return  # the sign and the number are one
    elif isinstance(value, bool):
        yield code.replace("other-truth", node, str(not value))
    elif isinstance(value, int):
        yield code.replace("plus-one", node, str(value + 1))
        yield code.replace("minus-one", node, str(value - 1))
        if value:
            yield code.replace("negative", node, str(-value))
    elif isinstance(value, float):
        yield code.replace("twice", node, str(value * 2) if value else "1.0")
        if value:
            yield code.replace("negative", node, str(-value))
    elif isinstance(value, str) and _WORD.match(value):
        yield code.replace("other-word", node, repr(OTHER_NAME.get(value, f"{value}_")))


def _negative(node: ast.UnaryOp) -> int | float | None:
    operand = node.operand
    if isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant) and isinstance(operand.value, int | float):
        return -operand.value
    return None


def names(code: Code, node: ast.AST) -> Iterator[Change]:
    """mean for sum, max for min, train for eval, another dtype; without .T or .data."""
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
        if node.attr in OTHER_NAME:
            end = code.span(node)[1]
            start = end - len(node.attr.encode())
            yield Change("other-name", start, end, OTHER_NAME[node.attr], expression=False)
        if node.attr in ("T", "mT", "H", "data", "real") and code.is_value(node.value):
            yield code.replace("drop-attribute", node, code.text(node.value))
    elif isinstance(node, ast.Name) and isinstance(code.parents[node], ast.Call) and node.id in OTHER_NAME:
        yield code.replace("other-name", node, OTHER_NAME[node.id])


def arguments(code: Code, node: ast.AST) -> Iterator[Change]:
    """An argument dropped, two swapped; a fixed dim; keepdim where there is none."""
    if not isinstance(node, ast.Call):
        return
    function = code.text(node.func)
    given = [code.text(arg) for arg in node.args]
    named = [code.text(keyword) for keyword in node.keywords]

    def call(*parts: Sequence[str]) -> str:
        return f"{function}({', '.join(text for part in parts for text in part)})"

    for place, keyword in enumerate(node.keywords):
        if keyword.arg is None:
            continue
        yield code.replace("drop-keyword", node, call(given, named[:place], named[place + 1 :]))
        if keyword.arg in _DIMS and not isinstance(keyword.value, ast.Constant | ast.UnaryOp):
            for fixed in ("0", "-1"):
                yield code.replace("fixed-dim", keyword.value, fixed)
    if function not in ("isinstance", "len", "super", "hasattr"):
        for place, argument in enumerate(node.args):
            if not isinstance(argument, ast.Starred):
                yield code.replace("drop-argument", node, call(given[:place], given[place + 1 :], named))
        for place in range(len(given) - 1):
            swapped = [*given[:place], given[place + 1], given[place], *given[place + 2 :]]
            yield code.replace("swap-arguments", node, call(swapped, named))
    last = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    keywords = {keyword.arg for keyword in node.keywords}
    if last in _REDUCTIONS and "keepdim" not in keywords and (keywords.intersection(_DIMS) or given):
        yield code.replace("keep-dim", node, call(given, named, ["keepdim=True"]))


def wrappers(code: Code, node: ast.AST) -> Iterator[Change]:
    """x.detach() -> x, torch.sqrt(x) -> x, self.layer(x) -> x."""
    if not isinstance(node, ast.Call) or isinstance(code.parents[node], ast.Expr):
        return
    if isinstance(node.func, ast.Attribute) and code.is_value(node.func.value):
        receiver = node.func.value
        if not (isinstance(receiver, ast.Name) and receiver.id in ("self", "cls")):
            yield code.replace("unwrap", node, code.text(receiver))
    if node.args and not isinstance(node.args[0], ast.Starred):
        yield code.replace("unwrap", node, code.text(node.args[0]))


def statements(code: Code, node: ast.AST) -> Iterator[Change]:
    """A call, a raise, a return, an assignment in place left out; break for continue."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
        yield code.drop("drop-call", node)
    elif isinstance(node, ast.Raise):
        yield code.drop("drop-raise", node)
        kind = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        if isinstance(kind, ast.Name) and kind.id not in code.bound:
            yield code.replace("other-error", kind, "ArithmeticError")
    elif isinstance(node, ast.Return):
        yield code.drop("drop-return", node)
    elif isinstance(node, ast.AugAssign | ast.Delete):
        yield code.drop("drop-statement", node)
    elif isinstance(node, ast.Assign):
        used = {n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)}
        if all(isinstance(t, ast.Attribute | ast.Subscript) or (isinstance(t, ast.Name) and t.id in used)
               for t in node.targets):  # fmt: skip
            yield code.drop("drop-statement", node)
    elif isinstance(node, ast.Assert):
        yield code.drop("drop-assert", node)
    elif isinstance(node, ast.Break | ast.Continue):
        other = "continue" if isinstance(node, ast.Break) else "break"
        yield code.drop("drop-jump", node)
        yield Change("other-jump", *code.span(node), other, expression=False)


def blocks(code: Code, node: ast.AST) -> Iterator[Change]:
    """A guard that always or never holds, a `with` or decorator or handler gone, a loop short of an end."""
    if isinstance(node, ast.If | ast.IfExp):
        yield code.replace("always", node.test, "True")
        yield code.replace("never", node.test, "False")
        if not isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield code.replace("negate", node.test, f"not {code.atom(node.test)}")
    elif isinstance(node, ast.While):
        yield code.replace("never", node.test, "False")
    elif isinstance(node, ast.comprehension):
        for test in node.ifs:
            yield code.replace("always", test, "True")
            yield code.replace("negate", test, f"not {code.atom(test)}")
    elif isinstance(node, ast.For):
        yield code.replace("skip-first", node.iter, f"[*{code.atom(node.iter)}][1:]")
        yield code.replace("skip-last", node.iter, f"[*{code.atom(node.iter)}][:-1]")
    elif isinstance(node, ast.With):
        items = node.items
        end = code.span(items[-1].context_expr)[1]
        if len(items) == 1 and items[0].optional_vars is None:
            yield Change("drop-with", code.span(node)[0], end, "if True", expression=False)
    elif isinstance(node, ast.ExceptHandler) and node.type is not None:
        yield code.replace("drop-handler", node.type, "()")
    elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
        for decorator in node.decorator_list:
            start, end = code.span(decorator)
            at = code.raw.rindex(b"@", 0, start)
            yield Change("drop-decorator", at, end, "", expression=False)


def sequences(code: Code, node: ast.AST) -> Iterator[Change]:
    """A slice without a bound, a bound off by one, an element dropped, a pair swapped."""
    bounds: list[ast.expr] = []
    if isinstance(node, ast.Slice):
        parts = [node.lower, node.upper, node.step]
        for place, part in enumerate(parts):
            if part is not None:
                rest = ["" if other is None or n == place else code.text(other) for n, other in enumerate(parts)]
                kept = ":".join(rest if rest[2] else rest[:2])
                yield Change("drop-bound", *code.span(node), kept, expression=False)
        bounds = [part for part in (node.lower, node.upper) if part is not None]
    elif isinstance(node, ast.Call) and code.text(node.func) in ("range", "torch.arange"):
        bounds = [argument for argument in node.args if not isinstance(argument, ast.Starred)]
    for bound in bounds:
        if not isinstance(bound, ast.Constant | ast.UnaryOp):
            yield code.replace("plus-one", bound, f"{code.atom(bound)} + 1")
            yield code.replace("minus-one", bound, f"{code.atom(bound)} - 1")
    if isinstance(node, ast.Tuple | ast.List | ast.Set) and not isinstance(getattr(node, "ctx", None), ast.Store):
        texts = [code.text(element) for element in node.elts]
        if isinstance(node, ast.Tuple) and len(texts) == 2:
            yield code.replace("swap-pair", node, f"({texts[1]}, {texts[0]})")
        kinds = isinstance(code.parents[node], ast.ExceptHandler | ast.Call)
        if len(texts) > 1 and (kinds or not isinstance(node, ast.Tuple)):
            start, end = code.span(node)
            opening, closing = code.raw[start : start + 1].decode(), code.raw[end - 1 : end].decode()
            for place in range(len(texts)):
                comma = "," if opening == "(" else ""
                inside = ", ".join(texts[:place] + texts[place + 1 :])
                yield code.replace("drop-element", node, f"{opening}{inside}{comma}{closing}")
    elif isinstance(node, ast.Dict) and len(node.values) > 1:
        items = [
            f"**{code.text(value)}" if key is None else f"{code.text(key)}: {code.text(value)}"
            for key, value in zip(node.keys, node.values, strict=True)
        ]
        for place in range(len(items)):
            yield code.replace("drop-element", node, "{" + ", ".join(items[:place] + items[place + 1 :]) + "}")


MUTATORS: tuple[Mutator, ...] = (signs, constants, names, arguments, wrappers, statements, blocks, sequences)

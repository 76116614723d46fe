"""One-line faults of a Python source: each is the text with one expression or statement changed.

Left alone is what computes nothing: docstrings, annotations, decorators, imports, messages of errors, and strings.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

COMPARISONS = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
               ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is}
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
              ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum",
         "floor": "ceil", "ceil": "floor", "argmin": "argmax", "argmax": "argmin", "sin": "cos", "cos": "sin",
         "zeros": "ones", "ones": "zeros", "nanmin": "nanmax", "nanmax": "nanmin", "mean": "sum", "nanmean": "nansum"}
REMOVED = {"sorted": "list", "reversed": "list", "abs": "float", "copy": "asarray"}
SYMMETRIC = {"min", "max", "minimum", "maximum", "hypot", "suppress", "union1d", "array_equal", "zip"}
UNSWAPPED = {*SYMMETRIC, "isinstance", "getattr", "hasattr", "setattr", "open", "print", "field"}


@dataclass(frozen=True)
class Fault:
    """A changed stretch of a source. line, column: where it begins, from 1 and 0. start, end: offsets in bytes."""

    line: int
    column: int
    start: int
    end: int
    before: str
    after: str

    def plant(self, source: str) -> str:
        text = source.encode()
        return (text[:self.start] + self.after.encode() + text[self.end:]).decode()

    @property
    def change(self) -> str:
        """On one line, as it is printed and listed."""
        return " ".join(f"{self.before}  ->  {self.after}".split())


def faults(source: str) -> list[Fault]:
    """All that can be planted, in the order of the source."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, changed in _changes(ast.parse(source)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = source.encode()[start:end].decode()
        fault = Fault(node.lineno, node.col_offset, start, end, before, changed)
        if _compiles(fault.plant(source)):
            found.append(fault)
    return found


def _compiles(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Nodes that can be changed, each with the text that takes its place."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Raise | ast.Assert | ast.arguments):
            continue
        yield from ((node, text) for text in _of_expression(node))
        yield from ((node, text) for text in _of_statement(node))
        yield from _changes(_without_words(node))


def _without_words(node: ast.AST) -> ast.AST:
    """The node without its annotations, decorators and returned type, which compute nothing."""
    node = copy.copy(node)
    if isinstance(node, ast.AnnAssign):
        node._fields = ("target", "value")
    elif isinstance(node, ast.FunctionDef | ast.ClassDef):
        node._fields = ("args", "body") if isinstance(node, ast.FunctionDef) else ("body",)
    return node


def _of_expression(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Compare(ops=[operator]) if type(operator) in COMPARISONS:
            yield _text(node, ops=[COMPARISONS[type(operator)]()])
        case ast.Compare(ops=[first, *rest]) if type(first) in COMPARISONS:
            yield _text(node, ops=[COMPARISONS[type(first)](), *rest])
            yield _text(node, ops=[first, COMPARISONS[type(rest[0])](), *rest[1:]])
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in ARITHMETIC:
            if not any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (left, right)):
                yield _text(node, op=ARITHMETIC[type(operator)]())
        case ast.BoolOp(op=operator):
            yield _text(node, op=ast.Or() if isinstance(operator, ast.And) else ast.And())
        case ast.Constant(value=bool() as value):
            yield str(not value)
        case ast.Constant(value=int() as value):
            yield str(value + 1)
        case ast.Constant(value=float() as value):
            yield repr(value * 1.5 if value else 1.0)
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield ast.unparse(operand)
        case ast.Call():
            yield from _of_call(node)
        case ast.Slice(lower=lower, upper=upper):
            if upper is not None:
                yield _text(node, upper=ast.BinOp(upper, ast.Sub(), ast.Constant(1)))
            if lower is not None:
                yield _text(node, lower=ast.BinOp(lower, ast.Add(), ast.Constant(1)))


def _of_call(node: ast.Call) -> Iterator[str]:
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    if called in NAMES:
        new = copy.copy(node.func)
        setattr(new, "id" if isinstance(new, ast.Name) else "attr", NAMES[called])
        yield _text(node, func=new)
    if called in REMOVED and isinstance(node.func, ast.Name):
        yield _text(node, func=ast.Name(REMOVED[called]), keywords=[])
    if len(node.args) > 1 and called not in UNSWAPPED and not any(map(_is_text, node.args[:2])):
        first, second, *rest = node.args
        if ast.dump(first) != ast.dump(second) and not isinstance(first, ast.Starred):
            yield _text(node, args=[second, first, *rest])


def _of_statement(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Expr(value=ast.Call()) | ast.AugAssign():
            yield "pass"
        case ast.Return(value=ast.Tuple(elts=[first, second, *rest])):
            yield ast.unparse(ast.Return(ast.Tuple([second, first, *rest])))
        case ast.Return(value=ast.Compare() | ast.BoolOp()):
            yield f"return not ({ast.unparse(node.value)})"
        case ast.Continue():
            yield "pass"
        case ast.Break():
            yield "pass"


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


def _text(node: ast.AST, **changes: object) -> str:
    new = copy.copy(node)
    for name, value in changes.items():
        setattr(new, name, value)
    return f"({ast.unparse(new)})" if isinstance(new, ast.BinOp | ast.BoolOp | ast.Compare) else ast.unparse(new)

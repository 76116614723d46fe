"""Rules by which samples are kept: comparisons of measured values, joined by and, or, not.

    rule = parse_rule("infarct_dice >= 0.7 and abs(infarct_size_error) <= 0.03", known)
    rule.holds({"infarct_dice": dice, "infarct_size_error": error})         # (N,) bool

A rule has names, numbers, < <= > >= == !=, and, or, not, abs() and parentheses; `0.1 <= x <= 0.3` compares twice. The
text is read by Python's parser and then walked node by node: nothing in it is ever run. A comparison with an undefined
value (NaN) is false, `!=` too.
"""

import ast
import math
import operator
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]

LONGEST_RULE = 1000  # characters
_LARGEST = 1e30  # of a number in a rule
_EXAMPLE = '"infarct_dice >= 0.7 and abs(infarct_size_error) <= 0.03"'
_HAS = "A rule has names, numbers, < <= > >= == !=, and, or, not, abs() and parentheses"
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Eq: operator.eq,
    ast.NotEq: operator.ne}


@dataclass(frozen=True)
class KeepRule:
    """A checked rule. text: in one form for all ways of spacing it. names: of the values it needs, in their order."""

    text: str
    names: tuple[str, ...]

    def holds(self, values: Mapping[str, NDArray[np.floating]]) -> Flags:
        """(N,) which samples meet the rule. values: (N,) for each of `names`."""
        return _flags(ast.parse(self.text, mode="eval").body, values)


def parse_rule(text: str, known: Collection[str]) -> KeepRule:
    """Check a rule. known: the names that exist. Raises InputError that lists every fault."""
    if len(text) > LONGEST_RULE:
        raise InputError(f"the rule has {len(text)} characters, expected at most {LONGEST_RULE}. Shorten it.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's on style, such as 0.7and
            tree = ast.parse(text.strip(), mode="eval").body
        faults = list(dict.fromkeys(_condition_faults(tree, known)))
        plain = ast.unparse(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        place = f", character {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise InputError(f"the rule {text!r} cannot be read{place}. {_HAS}, such as {_EXAMPLE}.") from error
    names = tuple(dict.fromkeys(_names(tree)))
    if not faults and not names:
        faults = [f"it compares nothing that is measured. Known names: {', '.join(known)}"]
    if faults:
        raise InputError(f"the rule {text!r}: {'; '.join(faults)}.")
    return KeepRule(plain, names)


def _names(tree: ast.expr) -> Iterator[str]:
    called = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in called]
    yield from (node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset)))


def _condition_faults(node: ast.expr, known: Collection[str]) -> Iterator[str]:
    """Faults of what must be true or false."""
    if isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _condition_faults(value, known)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from _condition_faults(node.operand, known)
    elif isinstance(node, ast.Compare):
        yield from (f"a comparison cannot have {ast.unparse(node)!r}. {_HAS}"
                    for kind in node.ops if type(kind) not in _COMPARISONS)
        for side in (node.left, *node.comparators):
            yield from _number_faults(side, known)
    else:
        faults = list(_number_faults(node, known))
        yield from faults or [f"{ast.unparse(node)!r} is a number, expected a comparison, such as "
                              f"{ast.unparse(node)} >= 0.7"]


def _number_faults(node: ast.expr, known: Collection[str]) -> Iterator[str]:
    """Faults of what must be a number."""
    if isinstance(node, ast.Name):
        if node.id not in known:
            close = get_close_matches(node.id, list(known), 1)
            yield (f"unknown name {node.id!r}.{f' Did you mean {close[0]}?' if close else ''} Known names: "
                   f"{', '.join(known)}")
    elif isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
            yield f"{ast.unparse(node)} is no number that a rule can have"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        yield from _number_faults(node.operand, known)
    elif isinstance(node, ast.Call):
        if not (isinstance(node.func, ast.Name) and node.func.id == "abs"):
            yield f"unknown call {ast.unparse(node.func)!r}. The only one is abs(). Known names: {', '.join(known)}"
        elif len(node.args) != 1 or node.keywords:
            yield f"{ast.unparse(node)!r}: abs() takes one number"
        else:
            yield from _number_faults(node.args[0], known)
    else:
        yield f"{ast.unparse(node)!r} is not a number. {_HAS}"


def _flags(node: ast.expr, values: Mapping[str, NDArray[np.floating]]) -> Flags:
    """(N,) of a checked condition."""
    if isinstance(node, ast.BoolOp):
        join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return np.asarray(join.reduce(np.broadcast_arrays(*(_flags(value, values) for value in node.values))))
    if isinstance(node, ast.UnaryOp):
        return ~_flags(node.operand, values)
    assert isinstance(node, ast.Compare)
    sides = [_numbers(side, values) for side in (node.left, *node.comparators)]
    flags = [_COMPARISONS[type(kind)](left, right) & ~np.isnan(left) & ~np.isnan(right)
             for kind, (left, right) in zip(node.ops, pairwise(sides), strict=True)]
    return np.asarray(np.logical_and.reduce(np.broadcast_arrays(*flags)))


def _numbers(node: ast.expr, values: Mapping[str, NDArray[np.floating]]) -> Numbers:
    """(N,) or () of a checked number."""
    if isinstance(node, ast.Name):
        return np.asarray(values[node.id], dtype=np.float64)
    if isinstance(node, ast.Constant):
        return np.asarray(node.value if isinstance(node.value, int | float) else math.nan, dtype=np.float64)
    if isinstance(node, ast.UnaryOp):
        number = _numbers(node.operand, values)
        return -number if isinstance(node.op, ast.USub) else number
    assert isinstance(node, ast.Call)
    return np.abs(_numbers(node.args[0], values))

"""Rules by which samples are kept, against Python's own evaluation of the same text."""

import math
import random

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.keep_rule import LONGEST_RULE, parse_rule

KNOWN = ("infarct_dice", "infarct_size_error", "x")
NAN = math.nan


def held(text: str, **values: list[float]) -> list[bool]:
    return parse_rule(text, KNOWN).holds({name: np.array(column) for name, column in values.items()}).tolist()


def test_a_rule_joins_comparisons() -> None:
    text = "infarct_dice >= 0.7 and abs(infarct_size_error) <= 0.03"
    assert parse_rule(text, KNOWN).names == ("infarct_dice", "infarct_size_error")
    assert held(text, infarct_dice=[0.7, 0.69, 0.9, 0.9], infarct_size_error=[-0.03, 0, 0.031, -0.031]) == [
        True, False, False, False]


@pytest.mark.parametrize(("text", "expected"), [
    ("x < 1", [True, False, False]), ("x <= 1", [True, True, False]), ("x == 1", [False, True, False]),
    ("x != 1", [True, False, True]), ("not x > 1", [True, True, False]), ("0 < x < 2", [True, True, False]),
    ("-x < -1", [False, False, True]), ("x < 1 or x > 1", [True, False, True]), ("abs(-x) >= +1", [False, True, True]),
    ("not (x < 1 or x > 1)", [False, True, False]), ("x < 1 or 2 < 1", [True, False, False]),
])
def test_every_part_of_the_language(text: str, expected: list[bool]) -> None:
    assert held(text, x=[0.5, 1.0, 2.5]) == expected


def test_a_comparison_with_an_undefined_value_is_false() -> None:
    for sign in ("<", "<=", ">", ">=", "==", "!="):
        assert held(f"x {sign} 0.5", x=[NAN]) == held(f"0.5 {sign} x", x=[NAN]) == [False]
    assert held("not x < 0.5", x=[NAN]) == [True]


def draw_rule(chance: random.Random, depth: int = 0) -> str:
    """A random condition."""
    kind = chance.randrange(6 if depth < 4 else 2)
    if kind < 2:
        sides = [chance.choice([*KNOWN, f"{chance.uniform(-1, 1):.2f}", f"abs({chance.choice(KNOWN)})",
                                f"-{chance.choice(KNOWN)}"]) for _ in range(chance.choice([2, 2, 3]))]
        return sides[0] + "".join(f" {chance.choice(['<', '<=', '>', '>=', '==', '!='])} {side}" for side in sides[1:])
    if kind == 2:
        return f"not {draw_rule(chance, depth + 1)}"
    if kind == 3:
        return f"({draw_rule(chance, depth + 1)})"
    return f"{draw_rule(chance, depth + 1)} {chance.choice(['and', 'or'])} {draw_rule(chance, depth + 1)}"


def test_random_rules_mean_what_they_mean_in_python() -> None:
    chance = random.Random(7)
    values = {name: [round(chance.uniform(-1, 1), 1) for _ in range(20)] for name in KNOWN}
    columns = {name: np.array(column) for name, column in values.items()}
    for _ in range(150):
        text = f"x == x and ({draw_rule(chance)})"
        expected = [eval(text, {"abs": abs}, {name: column[i] for name, column in values.items()})
                    for i in range(20)]
        rule = parse_rule(text, KNOWN)
        assert rule.holds(columns).tolist() == expected
        assert parse_rule(rule.text, KNOWN).holds(columns).tolist() == expected


def test_spacing_makes_no_other_rule() -> None:
    assert parse_rule(" x>=0.70  and( x<1 )", KNOWN).text == parse_rule("x >= 0.7 and x < 1", KNOWN).text


@pytest.mark.parametrize(("text", "message"), [
    ("infarct_dise >= 0.7", "unknown name 'infarct_dise'. Did you mean infarct_dice? Known names: infarct_dice, inf"),
    ("q > 1", "unknown name 'q'. Known names: infarct_dice, infarct_size_error, x"),
    ("max(x) > 1", "unknown call 'max'. The only one is abs()"),
    ("__import__('os') > 1", "unknown call '__import__'"),
    ("x.real > 1", "'x.real' is not a number"), ("x[0] > 1", "'x[0]' is not a number"),
    ("abs(x, 1) > 1", "abs() takes one number"), ("abs(x=1) > 1", "abs() takes one number"),
    ("x", "'x' is a number, expected a comparison, such as x >= 0.7"), ("abs(x) and x > 1", "'abs(x)' is a number"),
    ("x in (1, 2)", "a comparison cannot have"), ("x is 1", "a comparison cannot have"),
    ("(x > 1) > 0", "'x > 1' is not a number"), ("x + 1 > 2", "'x + 1' is not a number"),
    ("x > 'a'", "'a' is no number"), ("True", "True is no number"), ("x > 1e400", "is no number that a rule can have"),
    ("x > 1j", "is no number"), ("1 < 2", "compares nothing that is measured"),
    ("x >", "cannot be read"), ("", "cannot be read"), ("x > 1; x", "cannot be read, character 6"),
    ("x = 1", "cannot be read"), ("(x := 1) > 0", "is not a number"), ("lambda: x", "is not a number"),
    ("x > 1 if x else x", "is not a number"), ("(" * 400 + "x", "cannot be read"), ("x > \0", "cannot be read"),
    ("x > 1 " * LONGEST_RULE, "expected at most 1000"),
])
def test_what_is_no_rule_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_rule(text, KNOWN)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_every_fault_is_named_at_once() -> None:
    with pytest.raises(InputError, match=r"'a'.*'b'.*'max'"):
        parse_rule("a > 1 and not b < 2 or max(x) > 1", KNOWN)

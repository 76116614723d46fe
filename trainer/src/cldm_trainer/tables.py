"""Numbers and tables in Markdown."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Json = Mapping[str, Any]
NOTHING = "–"


def estimate(value: Json | None, digits: int = 2) -> str:
    """0.83 [0.71, 0.90]"""
    if value is None or value.get("value") is None:
        return NOTHING
    if value.get("low") is None:
        return number(value["value"], digits)
    return f"{number(value['value'], digits)} [{number(value['low'], digits)}, {number(value['high'], digits)}]"


def percent(value: Json | None, digits: int = 0) -> str:
    """12 % [8, 17]"""
    if value is None or value.get("value") is None:
        return NOTHING
    return (f"{100 * value['value']:.{digits}f} % "
            f"[{100 * value['low']:.{digits}f}, {100 * value['high']:.{digits}f}]")


def dice_cell(row: Json, region: str) -> str:
    """Mean Dice of a region in a set's row, with its interval; in figures without one, ± its standard deviation."""
    interval = row.get("dice", {}).get(region)
    if interval is not None:
        return estimate(interval, 3)
    spread = row["regions"][region]["dice"]
    return f"{number(spread['mean'], 3)} ± {number(spread['sd'], 2)}"


def number(value: float | None, digits: int) -> str:
    """A fixed number of digits; a dash where there is no number."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)

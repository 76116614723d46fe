"""The table of a grid file, whatever its rows ask for: a header of known columns, and a row for each request.

Every fault is a sentence with its line, and all are collected, so that one look at the file mends them all.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Protocol, TypeVar

from ..errors import InputError, list_faults
from ..files.numbers import finite_number
from .csv_file import MOST_ROWS, filled_lines, without_blank_end

WEIGHTS = (0.0, 1e9)  # of a row
_MOST_FAULTS = 50
_MOST_COLUMNS = 100


class TableRow(Protocol):
    """What every row of a grid has. told: what was understood of its prompt."""

    @property
    def line(self) -> int: ...

    @property
    def weight(self) -> float: ...

    @property
    def told(self) -> tuple[str, ...]: ...


Row = TypeVar("Row", bound=TableRow)
ReadRow = Callable[[int, list[str], list[str], list[str]], Row | None]
"""(line, names of columns, cells, faults) -> the row, None for one with faults."""


def read_rows(text: str, faults: list[str], expected: Sequence[str],
              header_faults: Callable[[list[str], int], Iterator[str]], read_row: ReadRow[Row], noun: str) -> list[Row]:
    """The rows of a table without faults. expected: columns of which the header needs one; noun: what a row is."""
    lines = filled_lines(text, faults)
    header = next(lines, None)
    if header is None:
        if not faults:
            faults.append(f"the file is empty. Expected a header with some of: {', '.join(expected)}")
        return []
    names = without_blank_end([cell.lower() for cell in header[1]], 1)
    if len(names) > _MOST_COLUMNS:
        faults.append(f"line {header[0]}: {len(names)} columns, expected at most {_MOST_COLUMNS}")
        return []
    faults.extend(header_faults(names, header[0]))
    if faults:
        return []
    parsed = [read_row(line, names, cells, faults) for line, cells in islice(lines, MOST_ROWS)]
    if next(lines, None) is not None:
        faults.append(f"more than {MOST_ROWS} rows. Request several images of each row, by --n, or split the grid")
    rows = [row for row in parsed if row is not None]
    if not parsed and not faults:
        faults.append(f"there is no row below the header. Expected at least one {noun}")
    if not faults and not any(row.weight for row in rows):
        faults.append("every weight is 0. Give at least one row a weight above 0")
    return rows


def checked_notes(source: Path, rows: Sequence[TableRow], faults: list[str]) -> tuple[str, ...]:
    """What was understood of prompts, by line. Raises InputError where there are faults."""
    if faults:
        raise InputError(list_faults(f"{source}: {len(faults)} fault(s); nothing was written.", shortened(faults)))
    return tuple(shortened([f"line {row.line}: {line}" for row in rows for line in row.told]))


def shortened(lines: list[str]) -> list[str]:
    """The first lines, and how many there are more."""
    more = len(lines) - _MOST_FAULTS
    return [*lines[:_MOST_FAULTS], *([f"... and {more} more"] if more > 0 else [])]


def column_faults(names: Sequence[str], line: int, columns: Sequence[str], elsewhere: Sequence[str] = ()
                  ) -> Iterator[str]:
    """Columns without a name, of no known name, and those that stand twice. elsewhere: known in another grid."""
    for name in dict.fromkeys(names):
        if not name:
            blank = ", ".join(str(number) for number, other in enumerate(names, 1) if not other)
            yield f"line {line}: column {blank} has no name. Name it, or delete it"
            continue
        if name not in columns and name not in elsewhere:
            yield f"line {line}: unknown column {name!r}. Known: {', '.join(columns)}.{_column_hint(name, columns)}"
        if names.count(name) > 1:
            yield f"line {line}: column {name!r} stands {names.count(name)} times"


def _column_hint(name: str, columns: Sequence[str]) -> str:
    """What was probably meant by an unknown column."""
    if name.startswith("sep="):
        return " Delete this line, which is for Excel alone."
    close = [column for column in columns if re.sub(r"\W+", "_", name) == column] or get_close_matches(name, columns, 1)
    separated = " Separate columns by commas." if ";" in name or "\t" in name else ""
    return separated or (f" Did you mean {close[0]}?" if close else "")


def filled_cells(line: int, names: Sequence[str], cells: list[str], faults: list[str]) -> Mapping[str, str] | None:
    """The cells that are not empty, by column; None and a fault for a row of another length than the header."""
    cells = without_blank_end(cells, len(names))
    if len(cells) != len(names):
        faults.append(f"line {line}: {len(cells)} cells, the header has {len(names)}")
        return None
    return {name: value for name, value in zip(names, cells, strict=True) if value}


def number_cell(line: int, name: str, text: str, low: float, high: float, faults: list[str]) -> float:
    """The number of a cell; a fault if it is none, or outside low..high."""
    try:
        value = finite_number(text)
    except ValueError as error:
        hint = f" Write {text[:-1].strip()} percent as a fraction." if text.endswith("%") else (
            " Leave the cell empty to leave it out" if "finite" in str(error) else
            " Write decimals with a point: 0.1." if re.fullmatch(r"[0-9]*,[0-9]+", text) else "")
        faults.append(f"line {line}: {name} = {text!r} {error}.{hint}")
        return math.nan
    if not low <= value <= high:
        hint = f" Values are fractions: write {value / 100:g} for {value:g} %." if high == 1 < value <= 100 else ""
        faults.append(f"line {line}: {name} = {text} is outside {low:g}..{high:g}.{hint}")
    return value

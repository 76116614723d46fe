"""CSV files as spreadsheets leave them: rows and columns without content next to a table, blanks around cells."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError

MOST_ROWS, _MOST_LINES = 50_000, 500_000
_LARGEST_FILE = 8 * 2**20  # bytes


def read_bytes(source: Path) -> bytes:
    """The whole file. Raises InputError for one that cannot be read, is no file or is too large."""
    try:
        if source.exists() and not source.is_file():
            raise InputError(f"{source}: is no regular file. Give a CSV file of attributes.")
        with source.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{source}: cannot be read ({reason}). Give a CSV file of attributes.") from error
    if len(data) > _LARGEST_FILE:
        raise InputError(f"{source}: is larger than {_LARGEST_FILE >> 20} MiB. Expected at most {MOST_ROWS} rows.")
    return data


def filled_lines(text: str, faults: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Non-blank lines with their numbers (the last line of a quoted cell that spans several)."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            faults.append(f"line {reader.line_num}: not CSV: {error}")
            return
        if reader.line_num > _MOST_LINES:
            faults.append(f"more than {_MOST_LINES} lines. Expected at most {MOST_ROWS} rows")
            return
        if any(cells):  # spreadsheets leave rows of nothing but commas below a table
            yield reader.line_num, cells


def without_blank_end(cells: list[str], least: int) -> list[str]:
    """Cells without the empty ones at the end, which spreadsheets leave next to a table; at least `least` of them."""
    length = len(cells)
    while length > least and not cells[length - 1]:
        length -= 1
    return cells[:length]

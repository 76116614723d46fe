"""A grid of edits: what is done to the lesions of given label maps, one edit a row.

Its columns are the attributes of the domain, those of the lesion's place, words such as what is done, and `prompt`,
which asks for these in words; besides `weight` and `label`, as in any grid. A cell left empty leaves it open. Without a
grid, one edit leaves all open.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..domains.domain import Domain
from ..domains.edit_rules import EditRequest, EditRules
from ..errors import InputError, list_faults
from ..files.user_files import decode_text
from .csv_file import MOST_ROWS, filled_lines, read_bytes, without_blank_end
from .grid import Grid, GridRow, column_hint, number_cell, shortened
from .prompts import PROMPT, read_prompt, told

_WITHOUT_EFFECT = ("weight", "label")
_MOST_WEIGHT = 1e9


def edit_rules(domain: Domain, name: str) -> EditRules:
    """The domain's edits of that name. Raises InputError."""
    if domain.edit is None or domain.edit.name != name:
        raise InputError(f"--edit {name}: in given label maps of the domain {domain.name} there is "
                         f"{domain.edit.name if domain.edit else 'nothing'} to edit.")
    return domain.edit


def read_edit_grid(path: str | os.PathLike[str], domain: Domain, rules: EditRules) -> Grid:
    """Read and check a grid of edits. Raises InputError that lists every fault with its line."""
    source = Path(path)
    data = read_bytes(source)
    faults: list[str] = []
    rows = _parsed(decode_text(data, source), domain, rules, faults)
    if faults:
        raise InputError(list_faults(f"{source}: {len(faults)} fault(s); nothing was written.", shortened(faults)))
    notes = shortened([f"line {row.line}: {line}" for row in rows for line in row.told])
    return Grid(source.name, tuple(rows), hashlib.sha256(data).hexdigest(), notes=tuple(notes))


def edit_grid_from_prompt(text: str, domain: Domain, rules: EditRules) -> Grid:
    """One edit that a text asks for; `notes` say what was understood. Raises InputError."""
    faults: list[str] = []
    row = _with_prompt(GridRow(1, {}), text, domain, rules, faults)
    faults = faults or rules.faults(edit_of(row))
    if faults:
        raise InputError(list_faults(f"--{PROMPT}: nothing was written.", [*faults, *row.told]))
    return Grid(PROMPT, (row,), hashlib.sha256(text.encode()).hexdigest(), notes=row.told, prompt=text)


def _with_prompt(row: GridRow, text: str, domain: Domain, rules: EditRules, faults: list[str]) -> GridRow:
    """The row with what a text asks for."""
    columns = (*domain.attribute_names, *(attribute.name for attribute in rules.attributes), *rules.words)
    asked = read_prompt(text, domain, columns, row.request, faults)
    faults += [f"{PROMPT} asks for {name} {word}, the column for {row.words[name]}. Leave one of them out"
               for name, word in asked.words.items() if row.words.get(name, word) != word]
    return replace(row, request={**asked.assumed, **row.request, **asked.numbers}, words={**row.words, **asked.words},
                   told=told(asked))


def open_edit_grid() -> Grid:
    """One edit that leaves all open."""
    return Grid("edit", (GridRow(1, {}),), hashlib.sha256(b"").hexdigest())


def edit_of(row: GridRow, known: Mapping[str, float] | None = None) -> EditRequest:
    """What a row asks for. known: attributes of the given map that the row does not state."""
    return EditRequest({**(known or {}), **row.request}, row.words)


def _parsed(text: str, domain: Domain, rules: EditRules, faults: list[str]) -> list[GridRow]:
    lines = filled_lines(text, faults)
    line, header = next(lines, (1, []))
    names = without_blank_end([cell.lower() for cell in header], 1)
    faults += list(_header_faults(names, line, domain, rules))
    if faults:
        return []
    rows = [_row(number, names, cells, domain, rules, faults) for number, cells in islice(lines, MOST_ROWS)]
    if next(lines, None) is not None:
        faults.append(f"more than {MOST_ROWS} rows. Split the grid")
    if not rows and not faults:
        faults.append("there is no row below the header. Expected at least one edit")
    if not faults and not any(row.weight for row in rows):
        faults.append("every weight is 0. Give at least one row a weight above 0")
    return rows


def _header_faults(names: list[str], line: int, domain: Domain, rules: EditRules) -> Iterator[str]:
    expected = [*domain.attribute_names, *(attribute.name for attribute in rules.attributes), *rules.words,
                *([PROMPT] if domain.words else [])]
    columns = [*expected, *_WITHOUT_EFFECT]
    for name in dict.fromkeys(names):
        if name not in columns:
            yield f"line {line}: unknown column {name!r}. Known: {', '.join(columns)}.{column_hint(name, columns)}"
        if names.count(name) > 1:
            yield f"line {line}: column {name!r} stands {names.count(name)} times"
    if not set(names) & set(expected):
        yield f"line {line}: no column says what to edit. Expected at least one of: {', '.join(expected)}"


def _row(line: int, names: list[str], cells: list[str], domain: Domain, rules: EditRules, faults: list[str]) -> GridRow:
    cells, before = without_blank_end(cells, len(names)), len(faults)
    if len(cells) != len(names):
        faults.append(f"line {line}: {len(cells)} cells, the header has {len(names)}")
        return GridRow(line, {})
    cell = {name: value for name, value in zip(names, cells, strict=True) if value}
    numbers = {each.name: number_cell(line, each.name, cell[each.name], each.low, each.high, faults)
               for each in (*domain.attributes, *rules.attributes) if each.name in cell}
    words = {name: cell[name].lower() for name in rules.words if name in cell}
    faults += [f"line {line}: {name} = {word!r} is unknown. Known: {', '.join(rules.words[name])}"
               for name, word in words.items() if word not in rules.words[name]]
    weight = number_cell(line, "weight", cell.get("weight", "1"), 0.0, _MOST_WEIGHT, faults)
    row = GridRow(line, numbers, weight=weight, label=cell.get("label", ""), words=words)
    if PROMPT in cell:
        wrong: list[str] = []
        row = _with_prompt(row, cell[PROMPT], domain, rules, wrong)
        faults += [f"line {line}: {fault}" for fault in wrong]
    if len(faults) == before:
        faults += [f"line {line}: {fault}" for fault in rules.faults(edit_of(row))]
    return row

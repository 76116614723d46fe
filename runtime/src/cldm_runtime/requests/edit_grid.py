"""A grid of edits: what is done to the lesions of given label maps, one edit a row.

Its columns are the attributes of the domain, those of the lesion's place, words such as what is done, and `prompt`,
which asks for these in words; besides `weight` and `label`, as in any grid. A cell left empty leaves it open. Without a
grid, one edit leaves all open.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from ..domains.domain import Domain
from ..domains.edit_rules import EditRequest, EditRules
from ..errors import InputError, list_faults
from ..files.user_files import decode_text
from .csv_file import read_bytes
from .grid import Grid, GridRow, digest_of
from .grid_table import WEIGHTS, checked_notes, column_faults, filled_cells, number_cell, read_rows
from .prompts import PROMPT, read_prompt, told

_WITHOUT_EFFECT = ("weight", "label")


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
    expected = _expected(domain, rules)
    rows = read_rows(decode_text(data, source), faults, expected,
                     lambda names, line: _header_faults(names, line, expected),
                     partial(_row, domain=domain, rules=rules), "edit")
    notes = checked_notes(source, rows, faults)
    return Grid(source.name, tuple(rows), digest_of(data, rows), notes=notes)


def edit_grid_from_prompt(text: str, domain: Domain, rules: EditRules) -> Grid:
    """One edit that a text asks for; `notes` say what was understood. Raises InputError."""
    faults: list[str] = []
    row = _with_prompt(GridRow(1, {}), text, domain, rules, faults)
    faults = faults or rules.faults(edit_of(row))
    if faults:
        raise InputError(list_faults(f"--{PROMPT}: nothing was written.", [*faults, *row.told]))
    return Grid(PROMPT, (row,), digest_of(text.encode(), [row]), notes=row.told, prompt=text)


def _with_prompt(row: GridRow, text: str, domain: Domain, rules: EditRules, faults: list[str]) -> GridRow:
    """The row with what a text asks for."""
    columns = (*domain.attribute_names, *(attribute.name for attribute in rules.attributes), *rules.words)
    asked = read_prompt(text, domain, columns, row.request, faults)
    faults += [f"{PROMPT} asks for {name} {word}, the column for {row.words[name]}. Leave one of them out"
               for name, word in asked.words.items() if row.words.get(name, word) != word]
    return replace(row, request={**asked.assumed, **row.request, **asked.numbers}, words={**row.words, **asked.words},
                   told=told(asked), guessed=bool(asked.taken))


def open_edit_grid() -> Grid:
    """One edit that leaves all open."""
    return Grid("edit", (GridRow(1, {}),), hashlib.sha256(b"").hexdigest())


def edit_of(row: GridRow, known: Mapping[str, float] | None = None) -> EditRequest:
    """What a row asks for. known: attributes of the given map that the row does not state."""
    return EditRequest({**(known or {}), **row.request}, row.words)


def _expected(domain: Domain, rules: EditRules) -> list[str]:
    """The columns that say what to edit, of which a grid has at least one."""
    return [*domain.attribute_names, *(attribute.name for attribute in rules.attributes), *rules.words,
            *([PROMPT] if domain.words else [])]


def _header_faults(names: list[str], line: int, expected: list[str]) -> Iterator[str]:
    yield from column_faults(names, line, [*expected, *_WITHOUT_EFFECT])
    if not set(names) & set(expected):
        yield f"line {line}: no column says what to edit. Expected at least one of: {', '.join(expected)}"


def _row(line: int, names: list[str], cells: list[str], faults: list[str], domain: Domain,
         rules: EditRules) -> GridRow | None:
    cell, before = filled_cells(line, names, cells, faults), len(faults)
    if cell is None:
        return None
    numbers = {each.name: number_cell(line, each.name, cell[each.name], each.low, each.high, faults)
               for each in (*domain.attributes, *rules.attributes) if each.name in cell}
    words = {name: cell[name].lower() for name in rules.words if name in cell}
    faults += [f"line {line}: {name} = {word!r} is unknown. Known: {', '.join(rules.words[name])}"
               for name, word in words.items() if word not in rules.words[name]]
    weight = number_cell(line, "weight", cell.get("weight", "1"), *WEIGHTS, faults)
    row = GridRow(line, numbers, weight=weight, label=cell.get("label", ""), words=words)
    if PROMPT in cell:
        wrong: list[str] = []
        row = _with_prompt(row, cell[PROMPT], domain, rules, wrong)
        faults += [f"line {line}: {fault}" for fault in wrong]
    if len(faults) == before:
        faults += [f"line {line}: {fault}" for fault in rules.faults(edit_of(row))]
    return row

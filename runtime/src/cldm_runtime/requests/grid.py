"""grid.csv: which attributes are requested, how often, and which sample belongs to which row.

The header has any non-empty subset of the domain's attribute names, of label maps and of images, or `prompt`, which
asks for attributes in words, and optionally `rotation_deg`, `weight` and `label`. Each row is one grid point. An empty
cell leaves the attribute out for that row.

`rotation_deg` turns the anatomy counter-clockwise before it is rendered on pixels, so no angle costs sharpness. It has
no effect with a bundle whose images are not made from label maps.

A grid for given label maps has no columns of their attributes, because the maps decide them. It has `rotation_deg` and
`widening_mm`, which change each map (see `moved_maps.py`), attributes of images, or both.
"""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..domains.domain import Domain
from ..errors import InputError, as_array, list_faults
from ..files.numbers import finite_number
from ..files.user_files import decode_text
from .csv_file import read_bytes
from .grid_table import WEIGHTS, checked_notes, column_faults, filled_cells, number_cell, read_rows, shortened
from .prompts import PROMPT, read_cell, told

OPTIONAL_COLUMNS = ("rotation_deg", "weight", "label")
TRANSFORMATIONS = ("rotation_deg", "widening_mm")  # of given label maps
_RANGES = {"rotation_deg": (-360.0, 360.0), "widening_mm": (-50.0, 50.0), "weight": WEIGHTS}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class GridRow:
    """One grid point. `request` holds its attributes in the user's units, `imaging` those of the image with its label
    map; `line` is its line in the file; `told` is what was understood of its prompt, `guessed`
    whether a part of it was taken for words that are like it. words: of a grid of edits, by column."""

    line: int
    request: Mapping[str, float]
    rotation_deg: float = 0.0
    weight: float = 1.0
    label: str = ""
    widening_mm: float = 0.0
    imaging: Mapping[str, float] = field(default_factory=dict)
    told: tuple[str, ...] = ()
    words: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False


@dataclass(frozen=True)
class Grid:
    """All rows, in the file's order. `sha256`: see `digest_of`. infeasible: what was done with rows that no
    anatomy can meet, "skip" or "nearest"; empty where all can be met. notes: on such rows, and what was understood of
    prompts. prompt: the one that the grid was made from."""

    name: str
    rows: tuple[GridRow, ...]
    sha256: str
    infeasible: str = ""
    notes: tuple[str, ...] = ()
    prompt: str = ""

    def __len__(self) -> int:
        return len(self.rows)

    def counts(self, samples: int) -> NDArray[np.int64]:
        """How many of `samples` samples each row gets: by weight; the first rows with weight share the remainder."""
        weights = [Fraction(row.weight) for row in self.rows]  # exact, so that no rounding can move a sample
        total = sum(weights)
        counts = [math.floor(samples * weight / total) for weight in weights]
        heavy = [index for index, weight in enumerate(weights) if weight > 0]
        for index in heavy[:samples - sum(counts)]:
            counts[index] += 1
        return np.array(counts, dtype=np.int64)


def read_grid(path: str | os.PathLike[str], domain: Domain, for_masks: bool = False, feasible: bool = True,
              progress: Progress = lambda done, total: None) -> Grid:
    """Read and check a grid file, of attributes or (for_masks) for given label maps.

    Raises InputError that lists every fault with its line: malformed cells, values out of range, unknown columns, and
    rows that no anatomy can meet, unless `feasible` is False. `progress` is called with rows checked and all rows.
    """
    source = Path(path)
    data = read_bytes(source)
    text = decode_text(data, source)
    faults: list[str] = []
    rows = read_rows(text, faults, _expected(domain, for_masks),
                     lambda names, line: _header_faults(names, line, domain, for_masks),
                     partial(_row, domain=domain), "grid point")
    if feasible and not faults and not for_masks:
        faults = list(infeasible_rows(rows, domain, progress))
    notes = checked_notes(source, rows, faults)
    return Grid(source.name, tuple(rows), digest_of(data, rows), notes=notes)


def digest_of(data: bytes, rows: Sequence[GridRow]) -> str:
    """SHA-256 of what a grid was read from, and of what it asks for where that depends on more than this text: where
    parts of a prompt were taken for words that are like them."""
    meanings = [(row.line, sorted(row.request.items()), sorted(row.words.items())) for row in rows if row.guessed]
    return hashlib.sha256(data + (repr(meanings).encode() if meanings else b"")).hexdigest()


def infeasible_rows(rows: Sequence[GridRow], domain: Domain,
                    progress: Progress = lambda done, total: None) -> Iterator[str]:
    """A fault for each row that no anatomy can meet; none if the domain has no anatomy."""
    if domain.anatomy is None:
        return
    faults_of: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for number, row in enumerate(rows, 1):
        key = tuple(sorted(row.request.items()))
        if key not in faults_of:
            faults_of[key] = domain.anatomy.faults(row.request)
        yield from (f"line {row.line}: {fault}" for fault in faults_of[key])
        progress(number, len(rows))


def _expected(domain: Domain, for_masks: bool) -> tuple[str, ...]:
    """The columns of which a grid has at least one."""
    words = (PROMPT,) if domain.words and not for_masks else ()
    return (*(TRANSFORMATIONS if for_masks else domain.attribute_names), *domain.image_attribute_names, *words)


def _header_faults(names: list[str], line: int, domain: Domain, for_masks: bool = False) -> Iterator[str]:
    expected = _expected(domain, for_masks)
    columns = sorted(dict.fromkeys((*expected, *OPTIONAL_COLUMNS)), key=domain.image_attribute_names.__contains__)
    misplaced = list(_misplaced(names, domain, for_masks))
    yield from (f"line {line}: {fault}" for fault in misplaced)
    yield from column_faults(names, line, columns, (*domain.attribute_names, *TRANSFORMATIONS) if misplaced else ())
    if not misplaced and not set(names) & set(expected):
        kind = "transformation" if for_masks else "attribute"
        yield f"line {line}: no {kind} column. Expected at least one of: {', '.join(expected)}"


def _misplaced(names: list[str], domain: Domain, for_masks: bool) -> Iterator[str]:
    """A fault for columns that exist, but not in a grid of this kind."""
    attributes = [name for name in (*domain.attribute_names, PROMPT) if name in names]
    if for_masks and attributes:
        yield (f"{', '.join(attributes)} cannot be requested of given masks, which decide them. Pass either "
               f"--attributes CSV or --masks FILE, or keep of the columns: {', '.join(TRANSFORMATIONS)}, weight, label")
    if not for_masks and "widening_mm" in names:
        yield ("widening_mm changes given label maps, but none are given. Request another lesion by its attributes, or "
               "pass --masks FILE")
    if for_masks and "widening_mm" in names and domain.widen is None:
        yield f"widening_mm: the domain {domain.name} has nothing that could be widened"


def _row(line: int, names: list[str], cells: list[str], faults: list[str], domain: Domain) -> GridRow | None:
    cell = filled_cells(line, names, cells, faults)
    if cell is None:
        return None
    before = len(faults)
    request, imaging = ({each.name: number_cell(line, each.name, cell[each.name], each.low, each.high, faults)
                         for each in attributes if each.name in cell}
                        for attributes in (domain.attributes, domain.image_attributes))
    rotation, widening, weight = (number_cell(line, name, cell.get(name, default), *_RANGES[name], faults)
                                  for name, default in (("rotation_deg", "0"), ("widening_mm", "0"), ("weight", "1")))
    label, understood = cell.get("label", ""), read_cell(line, cell.get(PROMPT, ""), domain, request, faults)
    row = GridRow(line, {**request, **understood.numbers}, rotation, weight, label, widening, imaging, told(understood),
                  guessed=bool(understood.taken))
    return row if len(faults) == before else None


def grid_from_mapping(attributes: Mapping[str, float | Sequence[float]], domain: Domain,
                      for_masks: bool = False) -> Grid:
    """A grid from Python values: each column a number, or a sequence with one number a row.

    Raises InputError that lists every fault; rows are counted from 1.
    """
    if not isinstance(attributes, Mapping):
        raise InputError(f"attributes: found {attributes!r}, expected names with numbers, for example "
                         "{'tumour_share': 0.2}. The number of samples is n.")
    columns = {str(name): np.atleast_1d(as_array(values, f"attributes: {name}").astype(np.float64))
               for name, values in attributes.items()}
    lengths = {len(values) for values in columns.values()} - {1}
    expected = _expected(domain, for_masks)
    faults = [f"{name}: holds no number. Leave it out" for name, values in columns.items() if not values.size]
    faults += [] if columns else [f"no attribute given. Known: {', '.join(expected)}"]
    if len(lengths) > 1 or any(values.ndim != 1 for values in columns.values()):
        faults.append(f"sequences differ in length: { {name: values.shape for name, values in columns.items()} }")
        columns = {}
    header_faults = _header_faults(list(columns), 0, domain, for_masks) if columns else ()
    faults.extend(fault.split(": ", 1)[1] for fault in header_faults)
    rows = []
    for index in range(max(lengths, default=1) if not faults else 0):
        cells = {name: float(values[index % len(values)]) for name, values in columns.items()}
        text = [repr(value) for value in cells.values()]
        row = _row(index + 1, list(cells), text, faults, domain)
        rows += [row] if row else []
    faults = faults or ([] if for_masks else list(infeasible_rows(rows, domain)))
    faults = [fault.replace("line ", "row ", 1) for fault in faults]
    if faults:
        raise InputError(list_faults("attributes cannot be met:", shortened(faults)))
    canonical = repr([(sorted(row.request.items()), row.rotation_deg, row.weight, *([row.widening_mm] * for_masks),
                       *([sorted(row.imaging.items())] if row.imaging else []))
                      for row in rows])
    return Grid("attributes", tuple(rows), hashlib.sha256(canonical.encode()).hexdigest())


def _float(name: str, value: float) -> float:
    try:
        return finite_number(value) if isinstance(value, str) else float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"request: {name} = {value!r} is not a number.") from error


def free_grid() -> Grid:
    """One row that asks for nothing: every attribute is drawn."""
    return Grid("attributes", (GridRow(1, {}),), hashlib.sha256(b"").hexdigest())


def row_from_request(request: Mapping[str, float], number: int, domain: Domain) -> GridRow:
    """A grid row from one request of the Python API; `rotation_deg` may be among its keys. Raises InputError."""
    if not isinstance(request, Mapping):
        raise InputError(f"request: found {request!r}, expected names with numbers, such as {{'tumour_share': 0.2}}.")
    faults = list(_header_faults(list(request), number, domain)) if request else []
    cells = [repr(_float(name, value)) for name, value in request.items()]
    row = None if faults else _row(number, list(request), cells, faults, domain)
    faults = faults or list(infeasible_rows([row] if row else [], domain))
    if row is None or faults:
        faults = [fault.replace("line", "request", 1) for fault in faults]
        raise InputError(list_faults("request cannot be met:", faults))
    return row

"""The two files beside the images of a converted folder: samples.json says what all samples share, samples.csv has a
line for each.

The columns of samples.csv are named as in a dataset file, with the name of an attribute at the end:
attributes/mask/infarct_size. An empty cell is NaN, undefined. `checksum` is computed as /checksum in a dataset
file; it shows whether somebody has changed an image or a label map since.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...bundle.declarations import carried_domain
from ...domains.domain import Domain
from ...errors import InputError, list_faults
from ...files.atomic import write_json
from ...files.names import is_plain_name
from ...files.numbers import finite_number, whole_number
from ...files.records import plain, read_record
from ...files.user_files import read_json, read_text
from ...store import MetadataValue
from ...store.format import COLUMNS, STORED_MAX, Column

HEADER_FILE, TABLE_FILE = "samples.json", "samples.csv"
FORMAT, FORMAT_VERSION = "cldm-samples", 1
NAME, CHECKSUM = "name", "checksum"
_LARGEST_TABLE, _LARGEST_HEADER = 2**30, 2**26  # bytes
# Columns that are not of the table, or are its own. Where images were painted anew is not carried along.
_IN_FILES = ("images", "masks", "annotations", "painted", "checksum")

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Header:
    """What all samples of a folder share.

    layout: of the folder, a name in `formats.FORMATS`. intensity_range: what the stored 0 and 65535 mean. has_masks,
    has_annotations: whether there are label maps, and whether those are what a reader drew, with the truth beside them.
    has_checksums: whether the dataset has them. metadata: further root attributes of the dataset.
    """

    layout: str
    domain: str
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    channels: int
    intensity_range: tuple[float, float]
    has_masks: bool
    has_annotations: bool
    has_checksums: bool
    metadata: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    declared_domain: Any = None
    format: str = FORMAT
    format_version: int = FORMAT_VERSION

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept: intensity = stored * slope + intercept."""
        low, high = self.intensity_range
        return (high - low) / STORED_MAX, low

    def load_domain(self, where: str) -> Domain:
        return carried_domain(self.domain, self.declared_domain, where)

    def with_metadata(self, metadata: Mapping[str, MetadataValue], has_checksums: bool) -> "Header":
        return Header(**{**vars(self), "metadata": dict(metadata), "has_checksums": has_checksums})


def row_columns() -> dict[str, Column]:
    """The columns of a dataset that go into the table."""
    return {name: column for name, column in COLUMNS.items() if name not in _IN_FILES}


def write_table(folder: Path, header: Header, names: Sequence[str], columns: Columns, checksums: NDArray[np.uint32]
                ) -> None:
    """Raises InputError where the folder cannot be written to."""
    domain = header.load_domain(HEADER_FILE)
    titles, cells = [NAME], [list(names)]
    for name, column in row_columns().items():
        if name in columns:
            widths = _titles(column, domain)
            values = columns[name].reshape(len(names), len(widths))
            titles += widths
            cells += [[_as_cell(value) for value in values[:, number]] for number in range(len(widths))]
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows([[*titles, CHECKSUM], *zip(*cells, checksums.tolist(),
                                                                                 strict=True)])
    (folder / TABLE_FILE).write_text(stream.getvalue(), encoding="utf-8")
    write_json(folder / HEADER_FILE, plain(header))


def _titles(column: Column, domain: Domain) -> list[str]:
    names = {"attributes": domain.attribute_names, "imaging": domain.image_attribute_names,
             "place": domain.place.names if domain.place else ()}.get(column.trailing)
    return [column.path] if names is None else [f"{column.path}/{name}" for name in names]


def _as_cell(value: np.generic) -> str:
    return "" if value.dtype.kind == "f" and np.isnan(value) else str(value)


def read_header(folder: Path) -> Header:
    """Raises InputError for a folder that `cldm convert` did not write, and for a faulty file."""
    file = folder / HEADER_FILE
    if not file.is_file():
        raise InputError(f"{folder}: holds no {HEADER_FILE}, which `cldm convert` writes beside the images of a "
                         "dataset. Scans and label maps of other origin become a dataset with `cldm prepare --config "
                         "FILE`.")
    value, faults = read_json(file, _LARGEST_HEADER), list[str]()
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise InputError(f"{file}: expected an object whose format is {FORMAT!r}. Convert the dataset again.")
    if (version := value.get("format_version")) != FORMAT_VERSION:
        raise InputError(f"{file}: format_version {version!r} found, {FORMAT_VERSION} supported. Install a newer "
                         "cldm-runtime.")
    header = read_record(Header, value, "", faults)
    if header is None or (faults := _faults(header)):
        raise InputError(list_faults(f"{file}: {len(faults)} fault(s). Convert the dataset again:", faults))
    return header


def _faults(header: Header) -> list[str]:
    low, high = header.intensity_range
    faults = [] if low < high else [f"intensity_range: found {low:g} to {high:g}, expected two increasing numbers"]
    if len(header.shape) not in (2, 3) or len(header.spacing_mm) != len(header.shape):
        faults.append(f"shape {header.shape}, spacing_mm {header.spacing_mm}: expected two or three numbers each")
    if not all(0 < size <= 2**14 for size in (*header.shape, header.channels)):
        faults.append(f"shape {header.shape}, channels {header.channels}: expected sizes from 1 to {2**14}")
    if not all(0 < length < 1000 for length in header.spacing_mm):
        faults.append(f"spacing_mm {header.spacing_mm}: expected numbers above 0, below 1000")
    return faults


def read_table(folder: Path, header: Header) -> tuple[list[str], dict[str, NDArray[Any]], NDArray[np.uint32]]:
    """Names, columns and checksums of all samples. Raises InputError that names the line of each fault."""
    file = folder / TABLE_FILE
    if not file.is_file():
        raise InputError(f"{file}: there is no such file. It belongs to {HEADER_FILE}; convert the dataset again.")
    titles, lines = _cells(file)
    domain, known = header.load_domain(str(folder / HEADER_FILE)), {NAME, CHECKSUM}
    faults = [f"line {number}: {len(line)} cells, expected {len(titles)}"
              for number, line in enumerate(lines, 2) if len(line) != len(titles)]
    faults += [f"line 1: the column {title} is missing" for title in (NAME, CHECKSUM) if title not in titles]
    if faults or not lines:
        raise InputError(list_faults(f"{file}: is no table of samples. Convert the dataset again:",
                                     faults or ["no line below the first"]))
    cells = {title: [line[number] for line in lines] for number, title in enumerate(titles)}
    columns: dict[str, NDArray[Any]] = {}
    for name, column in row_columns().items():
        wanted = _titles(column, domain)
        known |= {*wanted}
        if wanted and set(wanted) <= cells.keys():
            each = [_values(cells[title], title, column.dtype, faults) for title in wanted]
            columns[name] = np.stack(each, -1) if column.trailing else each[0]
    faults += [f"line 1: the column {title} is unknown" for title in titles if title not in known]
    checksums = _values(cells[CHECKSUM], CHECKSUM, "u4", faults)
    faults += [f"the name {name} occurs several times" for name, times in Counter(cells[NAME]).items() if times > 1]
    faults += [f"{name[:40]!r} is no plain name of a file" for name in cells[NAME] if not is_plain_name(name)]
    if faults:
        raise InputError(list_faults(f"{file}: {len(faults)} fault(s). Convert the dataset again:", faults))
    return cells[NAME], columns, checksums


def _cells(file: Path) -> tuple[list[str], list[list[str]]]:
    """The first line and the others."""
    try:
        titles, *lines = list(csv.reader(io.StringIO(read_text(file, _LARGEST_TABLE)))) or [[]]
    except csv.Error as error:
        raise InputError(f"{file}: is not a table of comma-separated values ({error}). Convert the dataset again."
                         ) from error
    return titles, lines


def _values(cells: Sequence[str], title: str, dtype: str, faults: list[str]) -> NDArray[Any]:
    """A column of cells as numbers or texts."""
    if dtype.startswith("S"):
        return np.array(cells, np.str_)
    values: list[float] = []
    for line, cell in enumerate(cells, 2):
        try:
            is_float = dtype.startswith("f")
            values.append(np.nan if is_float and not cell else (finite_number if is_float else whole_number)(cell))
        except ValueError:
            faults.append(f"line {line}: {title} is {cell[:40]!r}, expected a number")
            values.append(0)
    try:
        return np.array(values, dtype)
    except OverflowError:
        faults.append(f"{title}: a number is too large for {np.dtype(dtype)}")
        return np.zeros(len(values), dtype)

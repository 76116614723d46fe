"""Grids by design: all combinations of levels, a Latin hypercube, or the rows of a cohort; feasible rows only."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Attribute
from ..domains.domain import Domain
from ..errors import InputError
from ..files.numbers import finite_number, whole_number
from ..noise import Purpose, Stream
from ..store import Dataset
from .csv_file import MOST_ROWS

ROTATION = Attribute("rotation_deg", "degrees", -360.0, 360.0, 720.0, "turns the anatomy counter-clockwise")
FORMS = "LOW:HIGH:COUNT, LOW:HIGH, or one or more values separated by commas"
_NUMBER = re.compile(r"-?\d+(\.\d+)?(e-?\d+)?")

Row = Mapping[str, float]


@dataclass(frozen=True)
class Axis:
    """The values that one column of a grid takes: its levels, or without levels any value from low to high."""

    name: str
    low: float
    high: float
    levels: tuple[float, ...] = ()

    def at(self, share: float) -> float:
        """The value at a share of the axis, 0 to below 1; levels have equal shares."""
        if self.levels:
            return self.levels[int(share * len(self.levels))]
        return self.low + share * (self.high - self.low)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class FeasibleRows:
    """The rows that an anatomy can meet. reasons: (number of other rows, the fault of the first), the most frequent
    reason first."""

    rows: tuple[Row, ...]
    reasons: tuple[tuple[int, str], ...]

    @property
    def left_out(self) -> int:
        return sum(count for count, _ in self.reasons)


def parse_axis(text: str, attribute: Attribute) -> Axis:
    """The axis that a text such as 0.05:0.4:8 states. Raises InputError."""
    try:
        numbers = [finite_number(part.strip()) for part in text.replace(":", ",").split(",")]
    except ValueError as error:
        raise InputError(f"{attribute.name}: found {text!r}, expected {FORMS}.") from error
    if ":" not in text:
        axis = Axis(attribute.name, min(numbers), max(numbers), tuple(numbers))
    elif "," not in text and len(numbers) in (2, 3) and numbers[0] < numbers[1]:
        axis = Axis(attribute.name, numbers[0], numbers[1], _levels(text, numbers))
    else:
        raise InputError(f"{attribute.name}: found {text!r}, expected {FORMS}, with LOW below HIGH.")
    if not attribute.low <= axis.low <= axis.high <= attribute.high:
        raise InputError(f"{attribute.name}: found {text}, expected values in {attribute.low:g}..{attribute.high:g} "
                         f"({attribute.unit}).")
    return axis


def _levels(text: str, numbers: Sequence[float]) -> tuple[float, ...]:
    """Evenly spaced levels of LOW:HIGH:COUNT, both ends included; none of LOW:HIGH. Raises InputError."""
    if len(numbers) == 2:
        return ()
    try:
        count = whole_number(text.rsplit(":", 1)[1].strip())
    except ValueError:
        count = 0
    if not 2 <= count <= MOST_ROWS:
        raise InputError(f"{text}: expected a whole number from 2 to {MOST_ROWS} as COUNT.")
    return tuple(np.linspace(numbers[0], numbers[1], count).tolist())


def factorial(axes: Sequence[Axis]) -> list[Row]:
    """Every combination of levels; the last axis varies fastest. Raises InputError for an axis without levels."""
    for axis in axes:
        if not axis.levels:
            raise InputError(f"{axis.name}: found {axis.low:g}:{axis.high:g}, but a full design needs levels: "
                             f"{axis.low:g}:{axis.high:g}:COUNT. Or choose the design lhs.")
    _check_count(math.prod(len(axis.levels) for axis in axes))
    names = [axis.name for axis in axes]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(axis.levels for axis in axes))]


def latin_hypercube(axes: Sequence[Axis], count: int, seed: int) -> list[Row]:
    """`count` rows, of which each axis has one in every `count`-th of its range (McKay, Beckman, Conover, Technometrics
    21, 1979)."""
    _check_count(count)
    columns = {}
    for number, axis in enumerate(axes):
        stream = Stream(seed, number, Purpose.GRID)
        shares = (_shuffled(count, stream) + stream.uniforms(count)) / count
        columns[axis.name] = [axis.at(float(share)) for share in shares]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def like_cohort(dataset: Dataset, names: Sequence[str], axes: Sequence[Axis], count: int | None, seed: int,
                subset: str | None = None) -> list[Row]:
    """`count` rows with the attributes `names` of random samples of a dataset that lie on all axes; what is undefined
    is left out. No sample comes twice before all came once. count: None takes each once.

    Raises InputError where the dataset lacks an attribute, and where no sample lies on the axes.
    """
    chosen = dataset.rows(subset)
    columns = {name: _column(dataset, name)[chosen] for name in names}
    inside = np.ones(len(chosen), dtype=bool)
    for axis in axes:
        inside &= (columns[axis.name] >= axis.low) & (columns[axis.name] <= axis.high)
    found = np.flatnonzero(inside)
    if not len(found):
        raise InputError(f"{dataset.path}: none of {len(chosen)} samples lies in the ranges. Widen them.")
    count = len(found) if count is None else count
    _check_count(count)
    rounds = (_shuffled(len(found), Stream(seed, number, Purpose.GRID)) for number in itertools.count())
    order = itertools.islice(itertools.chain.from_iterable(rounds), count)
    return [{name: float(values[found[row]]) for name, values in columns.items() if np.isfinite(values[found[row]])}
            for row in order]


def _column(dataset: Dataset, name: str) -> NDArray[np.float32]:
    """(N,) values of an attribute of label maps or images. Raises InputError."""
    for names, values in ((dataset.attribute_names, dataset.mask_attributes),
                          (dataset.image_attribute_names, dataset.image_attributes)):
        if values is not None and name in names:
            return values[:, names.index(name)]
    raise InputError(f"{dataset.path}: holds no measured {name}. Measure it: cldm measure {dataset.path}.")


def _shuffled(count: int, stream: Stream) -> NDArray[np.intp]:
    """The numbers from 0 to below count in random order."""
    return np.argsort(stream.uniforms(count), kind="stable")


def _check_count(count: int) -> None:
    if count > MOST_ROWS:
        raise InputError(f"the design has {count} rows, expected at most {MOST_ROWS}. Use fewer levels, or the design "
                         "lhs.")


def feasible(rows: Sequence[Row], domain: Domain, progress: Callable[[int, int], None]) -> FeasibleRows:
    """The rows that an anatomy of the domain can meet, each rounded to six digits as `as_csv` writes it; all rows if
    the domain draws none."""
    kept, faults = [], []
    checked: dict[tuple[tuple[str, float], ...], list[str]] = {}
    for number, row in enumerate(rows, 1):
        rounded = {name: float(f"{value:.6g}") for name, value in row.items()}
        request = {name: value for name, value in rounded.items() if name in domain.attribute_names}
        key = tuple(request.items())
        if key not in checked:
            checked[key] = [] if domain.anatomy is None else domain.anatomy.faults(request)
        kept += [] if checked[key] else [rounded]
        faults += checked[key][:1]
        progress(number, len(rows))
    return FeasibleRows(tuple(kept), tuple(_by_reason(faults)))


def _by_reason(faults: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Faults that differ only in their numbers count as one reason."""
    first: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for fault in faults:
        reason = _NUMBER.sub("#", fault)
        first.setdefault(reason, fault)
        counts[reason] += 1
    yield from ((count, first[reason]) for reason, count in counts.most_common())


def as_csv(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """The text of a grid file; what a row leaves out is an empty cell."""
    lines = [",".join(f"{row[name]:.6g}" if name in row else "" for name in columns) for row in rows]
    return "\n".join([",".join(columns), *lines]) + "\n"

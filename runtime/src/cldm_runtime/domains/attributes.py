"""Attributes: named, measurable properties of a label map, and the record of a measurement.

Each domain defines its own attributes. This module knows none of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownName

LABELLED = "*"  # in place of a region: everything that has a label


class Reason(IntEnum):
    """Why a measured value is NaN, in every domain. A domain adds its own numbers (`Domain.reasons`). The numbers are
    part of the dataset format."""

    MEASURED = 0
    NEEDS_STACK = 4  # not measurable on one sample: it needs the whole stack, or a scan that the file lacks
    FREE_CLASS = 200  # depends on a class of the label map that was left free


@dataclass(frozen=True)
class Attribute:
    """One attribute: its name in CSV, HDF5 and API, its unit, the range a user may ask for, and the tolerance
    within which a drawn anatomy meets the request. regions: of the label map, which decide its value, `LABELLED` for
    everything that has a label; None: not stated, so that every label may count. per: name of the attribute of the same
    image that this one is a ratio to; "" for none."""

    name: str
    unit: str
    low: float
    high: float
    tolerance: float
    description: str
    regions: tuple[str, ...] | None = None
    per: str = ""

    @property
    def measurable(self) -> bool:
        """Whether the attribute can be measured on a label map. If not, its tolerance spans its whole range."""
        return self.tolerance < self.high - self.low


@dataclass(frozen=True)
class Measurement:
    """Values (N, A) float32, NaN where undefined, and for each the number of its reason, (N, A) uint8."""

    names: tuple[str, ...]
    values: NDArray[np.float32]
    reasons: NDArray[np.uint8]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        """(N,) values of an attribute. Raises UnknownName, an InputError and a KeyError, with the known names."""
        if name not in self.names:
            raise UnknownName(f"attribute {name!r} was not measured. Known: {', '.join(self.names)}.")
        return self.values[:, self.names.index(name)]

    def keys(self) -> tuple[str, ...]:
        """Names of the attributes, so that dict(measurement) gives the columns by name."""
        return self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

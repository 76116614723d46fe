"""Attributes: named, measurable properties of a label map, and the record of a measurement.

What the attributes of a heart are stands in `domains/lge/attributes.py`; this module knows none of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Reason(IntEnum):
    """Why a measured value is NaN. The numbers are part of the dataset format."""

    MEASURED = 0
    NO_INFARCT = 1  # the value is only defined where there is infarct
    NO_WALL = 2  # no myocardium at all
    NO_ENDOCARDIUM = 3  # no cavity, or a wall too thin to have an inner quarter
    NEEDS_STACK = 4  # a single slice cannot tell


@dataclass(frozen=True)
class Attribute:
    """One attribute: its name in CSV, HDF5 and API, its unit, the range a user may ask for, and the tolerance
    within which a drawn anatomy meets the request."""

    name: str
    unit: str
    low: float
    high: float
    tolerance: float
    description: str

    @property
    def measurable(self) -> bool:
        """Whether a label map can tell it. What it cannot tell is met by construction: the tolerance is its range."""
        return self.tolerance < self.high - self.low


@dataclass(frozen=True)
class Measurement:
    """Values (N, A) float32, NaN where undefined, with a `Reason` for each, (N, A) uint8."""

    names: tuple[str, ...]
    values: NDArray[np.float32]
    reasons: NDArray[np.uint8]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self.values[:, self.names.index(name)]

    def as_dict(self) -> Mapping[str, NDArray[np.float32]]:
        return {name: self[name] for name in self.names}

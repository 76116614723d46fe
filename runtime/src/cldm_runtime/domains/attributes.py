"""Attributes: named, measurable properties of a label map, and the record of a measurement.

Which attributes there are is a domain's business; this module knows none of them.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Reason(IntEnum):
    """Why a measured value is NaN, in every domain. A domain adds its own numbers (`Domain.reasons`). The numbers are
    part of the dataset format."""

    MEASURED = 0
    NEEDS_STACK = 4  # one sample cannot tell: the value needs the whole stack, or a scan that the file lacks


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
    """Values (N, A) float32, NaN where undefined, with the number of a reason for each, (N, A) uint8."""

    names: tuple[str, ...]
    values: NDArray[np.float32]
    reasons: NDArray[np.uint8]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self.values[:, self.names.index(name)]

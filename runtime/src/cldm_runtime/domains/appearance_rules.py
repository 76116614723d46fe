"""What images of a domain look like, in figures with the range that patients' images have."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .labels import LabelMap


@dataclass(frozen=True)
class AppearanceFigure:
    """One figure. typical: its value in patients' images; low, high: the accepted range of a cohort's median."""

    name: str
    meaning: str
    typical: float
    low: float
    high: float


class MeasureAppearance(Protocol):
    def __call__(self, images: NDArray[np.float32], labels: LabelMap, spacing_mm: tuple[float, ...]
                 ) -> Mapping[str, NDArray[np.float64]]:
        """(N,) values of every figure for (N, *spatial) prepared images (0 to 1) of one channel and their label maps;
        NaN where an image does not show what the figure is about. Raises InputError for images of other shapes."""


@dataclass(frozen=True)
class AppearanceRules:
    """figures: in the order of a table. source: what the typical values and ranges rest on."""

    figures: tuple[AppearanceFigure, ...]
    measure: MeasureAppearance
    source: str

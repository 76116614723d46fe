"""The manifest's section on a generator whose last graph, `acquisition`, applies point spread, noise and rim.

The graph draws how each image was acquired from standard normal numbers, one input for each value. A request replaces
the number of the value that can be requested by the one that gives what was requested.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..domains.acquisition.band import Taper
from ..domains.acquisition.distribution import QuantileTable, triangle_factor
from ..domains.acquisition.scanner import Scan, Scanner
from .latent_prior_spec import full_matrix

ROLE = "acquisition"
NOISE_LEVEL = "noise_level"
VALUES = (NOISE_LEVEL, "row_pixel_mm", "column_pixel_mm", "top", "bottom", "left", "right")


@dataclass(frozen=True)
class AcquiredValue:
    """One value of an image's acquisition. input: of the graph, (N,) standard normal numbers. low, high: range that may
    be requested; absent: it cannot be. scores, values: the quantile table (`acquisition/distribution.py`)."""

    name: str
    unit: str
    input: str
    scores: tuple[float, ...]
    values: tuple[float, ...]
    low: float | None = None
    high: float | None = None

    @property
    def table(self) -> QuantileTable:
        return QuantileTable(self.scores, self.values)

    @property
    def can_be_requested(self) -> bool:
        return self.low is not None and self.high is not None


@dataclass(frozen=True)
class AcquisitionSpec:
    """detection: "real", with Gaussian noise, or "magnitude", with Rician noise about the intensity `zero` of no
    signal. residual_noise: noise level of the decoder's own images. correlation: of the values' normal scores, lower
    triangle, row by row. taper_shares, taper_weights: how the noise falls with the share of the cut."""

    detection: Literal["real", "magnitude"]
    zero: float
    residual_noise: float
    taper_shares: tuple[float, ...]
    taper_weights: tuple[float, ...]
    values: tuple[AcquiredValue, ...]
    correlation: tuple[float, ...]

    @property
    def requestable(self) -> tuple[AcquiredValue, ...]:
        return tuple(value for value in self.values if value.can_be_requested)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs of the graph with a number for each value, in the order of the values."""
        return tuple(value.input for value in self.values)

    def numbers_for(self, normals: Mapping[str, NDArray[np.float32]],
                    values: NDArray[np.floating]) -> dict[str, NDArray[np.float32]]:
        """(N,) normal numbers by input, changed so that images get these values (N, V); NaN leaves a value free."""
        factor = triangle_factor(full_matrix(self.correlation, len(self.values)))
        numbers = np.stack([normals[name] for name in self.inputs], axis=1).astype(np.float64)
        for j, value in enumerate(self.values):
            wanted = (value.table.score(values[:, j]) - numbers[:, :j] @ factor[j, :j]) / factor[j, j]
            numbers[:, j] = np.where(np.isfinite(values[:, j]), wanted, numbers[:, j])
        return dict(zip(self.inputs, numbers.astype(np.float32).T, strict=True))

    def scan(self, normals: Mapping[str, NDArray[np.floating]]) -> Scan:
        """How N images are acquired, as the graph computes it from its inputs. The level of the noise that is added
        leaves room for that of the decoder's images."""
        independent = np.stack([np.asarray(normals[value.input], dtype=np.float64) for value in self.values], axis=1)
        factor = triangle_factor(full_matrix(self.correlation, len(self.values)))
        columns = (independent @ factor.T).T
        level, rows, across, *rim = (value.table.value(column)
                                     for value, column in zip(self.values, columns, strict=True))
        added = np.sqrt(np.maximum(np.square(level) - self.residual_noise**2, 0.0))
        return Scan(added, rows, across, *np.rint(rim))

    def scanner(self, spacing_mm: tuple[float, ...]) -> Scanner:
        """The scanner, for images with that spacing."""
        return Scanner((spacing_mm[-2], spacing_mm[-1]), self.detection, self.zero,
                       Taper(self.taper_shares, self.taper_weights))

    def faults(self) -> Iterator[str]:
        """The faults of the numbers, one line each."""
        names, inputs = [value.name for value in self.values], [value.input for value in self.values]
        if tuple(names) != VALUES or len(set(inputs)) != len(inputs):
            yield f"acquisition: values: found {', '.join(names)}; expected {', '.join(VALUES)}, each with an input."
            return
        for value in self.values:
            yield from (f"acquisition: values.{value.name}: {fault}." for fault in value.table.faults())
            empty = not 0 <= (value.low or 0.0) < (value.high or 0.0)
            if value.can_be_requested and (value is not self.values[0] or empty):
                yield (f"acquisition: values.{value.name}: only {NOISE_LEVEL} can be requested, from low to high, "
                       "0 <= low < high.")
        if self.residual_noise < 0 or len(self.taper_shares) != len(self.taper_weights) or len(self.taper_shares) < 2:
            yield "acquisition: expected residual_noise of 0 or more, and as many taper_weights as taper_shares."
        size = len(self.values)
        if len(self.correlation) != size * (size + 1) // 2:
            yield f"acquisition: correlation: {len(self.correlation)} numbers, expected {size * (size + 1) // 2}."
            return
        try:
            triangle_factor(full_matrix(self.correlation, size))
        except ValueError as error:
            yield f"acquisition: correlation: {error}."

"""Differences of two sets of images: in pixels, in a segmenter's label maps, and in attributes measured on those.

    parity = compare(actual, expected, (0.0, 1.0), domain, labels=(segment(actual), segment(expected)))
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Attribute
from ..domains.domain import Domain
from ..domains.labels import LabelMap

ATTRIBUTE_TOLERANCE = 0.01
"""Largest difference that another engine or precision may make to an attribute measured on a segmented image: a share
of the attribute's range, 0.01 of a fraction."""


@dataclass(frozen=True)
class Flips:
    """How many of `pixels` have differing labels. lesion: the same for the pixels that belong to the domain's lesion on
    either side; None for a domain without a lesion."""

    pixels: int
    flipped: int
    lesion: "Flips | None" = None

    @property
    def share(self) -> float:
        """0..1; NaN without pixels."""
        return self.flipped / self.pixels if self.pixels else math.nan


@dataclass(frozen=True)
class Drift:
    """Absolute differences of an attribute, in its unit; NaN if it is defined on both sides for no sample.

    compared: samples for which it is defined on both sides; one_sided: on one side only. tolerance: of the largest
    difference.
    """

    attribute: str
    compared: int
    one_sided: int
    mean: float
    median: float
    percentile_95: float
    largest: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether every difference is within the tolerance. A value that is defined on one side only never is."""
        return not self.one_sided and (not self.compared or self.largest <= self.tolerance)


@dataclass(frozen=True)
class ImageParity:
    """Two sets of images. max_abs, psnr_db: see `largest_error` and `psnr_db`. flips, drifts: None and empty without
    label maps; drifts are of the attributes that can be measured on a label map."""

    samples: int
    max_abs: float
    psnr_db: float
    flips: Flips | None = None
    drifts: tuple[Drift, ...] = ()


def compare(actual: NDArray[np.floating], expected: NDArray[np.floating], value_range: tuple[float, float],
            domain: Domain | None = None, labels: tuple[LabelMap, LabelMap] | None = None,
            spacing_mm: tuple[float, ...] | None = None) -> ImageParity:
    """Compare images (N, ...) with the expected ones.

    labels: label maps (N, *spatial) of the actual and of the expected images, in the values of `domain`, which is then
    required. spacing_mm: of the label maps, for domains that measure lengths. Raises ValueError for label maps of
    different shapes.
    """
    pixels = ImageParity(len(expected), largest_error(actual, expected), psnr_db(actual, expected, value_range))
    if labels is None or domain is None:
        return pixels
    return replace(pixels, flips=label_flips(*labels, domain), drifts=attribute_drifts(*labels, domain, spacing_mm))


def largest_error(actual: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Largest absolute difference; NaN if the shapes differ or a value is not finite."""
    if actual.shape != expected.shape or not (np.isfinite(actual).all() and np.isfinite(expected).all()):
        return math.nan
    return float(np.max(np.abs(actual.astype(np.float64) - expected.astype(np.float64)), initial=0.0))


def psnr_db(actual: NDArray[np.generic], expected: NDArray[np.generic], value_range: tuple[float, float]) -> float:
    """Peak signal-to-noise ratio of all samples, the peak being the width of `value_range`; infinite for equal images,
    NaN if the shapes differ or a value is not finite."""
    if math.isnan(largest_error(actual, expected)):
        return math.nan
    squared = float(np.mean((actual.astype(np.float64) - expected.astype(np.float64)) ** 2)) if actual.size else 0.0
    low, high = value_range
    return 10.0 * math.log10((high - low) ** 2 / squared) if squared else math.inf


def label_flips(actual: LabelMap, expected: LabelMap, domain: Domain) -> Flips:
    """Compare label maps of one shape. Raises ValueError for different shapes."""
    if actual.shape != expected.shape:
        raise ValueError(f"label maps {actual.shape} and {expected.shape} do not compare")
    flipped, lesion = actual != expected, None
    if domain.lesion is not None:
        either = domain.labels.region(actual, domain.lesion) | domain.labels.region(expected, domain.lesion)
        lesion = Flips(int(either.sum()), int((flipped & either).sum()))
    return Flips(flipped.size, int(flipped.sum()), lesion)


def attribute_drifts(actual: LabelMap, expected: LabelMap, domain: Domain,
                     spacing_mm: tuple[float, ...] | None = None) -> tuple[Drift, ...]:
    """The drift of each measurable attribute of the domain, measured on (N, *spatial) label maps."""
    here, there = domain.measure(actual, spacing_mm), domain.measure(expected, spacing_mm)
    return tuple(_drift(attribute, here[attribute.name], there[attribute.name])
                 for attribute in domain.attributes if attribute.measurable)


def _drift(attribute: Attribute, actual: NDArray[np.float32], expected: NDArray[np.float32]) -> Drift:
    here, there = np.isfinite(actual), np.isfinite(expected)
    both = here & there
    apart = np.abs(actual[both].astype(np.float64) - expected[both])
    median, high, largest = np.percentile(apart, (50, 95, 100)) if apart.size else (math.nan,) * 3
    return Drift(attribute.name, int(both.sum()), int((here != there).sum()),
                 float(apart.mean()) if apart.size else math.nan, float(median), float(high), float(largest),
                 ATTRIBUTE_TOLERANCE * (attribute.high - attribute.low))

"""How far two sets of images lie apart: in pixels, in what a segmenter sees in them, and in what is measured on that.

    parity = compare(found, expected, (0.0, 1.0), domain, labels=(segment(found), segment(expected)))
"""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Attribute
from ..domains.domain import Domain
from ..domains.labels import LabelMap

ATTRIBUTE_TOLERANCE = 0.01
"""Largest difference that another engine or precision may make to an attribute of an image, as a segmenter sees it: a
share of the attribute's range, 0.01 of a fraction."""


@dataclass(frozen=True)
class Flips:
    """Pixels whose label differs, of how many; `lesion` the same among pixels that are of the domain's lesion on either
    side, None for a domain without one."""

    pixels: int
    flipped: int
    lesion: "Flips | None" = None

    @property
    def share(self) -> float:
        """0..1; NaN of no pixels."""
        return self.flipped / self.pixels if self.pixels else math.nan


@dataclass(frozen=True)
class Drift:
    """Absolute differences of an attribute, in its unit: NaN where no sample has it on both sides.

    compared: samples that have it on both sides; one_sided: those that have it on one side only. tolerance: of the
    largest difference.
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
        """An attribute that is defined on one side only is further off than any tolerance."""
        return not self.one_sided and (not self.compared or self.largest <= self.tolerance)


@dataclass(frozen=True)
class ImageParity:
    """Two sets of images. max_abs, psnr_db: as `largest_error` and `psnr_db` say. flips, drifts: None and none where no
    label maps were given; drifts are of the attributes that a label map can tell."""

    samples: int
    max_abs: float
    psnr_db: float
    flips: Flips | None = None
    drifts: tuple[Drift, ...] = ()


def compare(found: NDArray[np.floating], expected: NDArray[np.floating], value_range: tuple[float, float],
            domain: Domain | None = None, labels: tuple[LabelMap, LabelMap] | None = None,
            spacing_mm: tuple[float, ...] | None = None) -> ImageParity:
    """Compare images (N, ...) with those expected.

    labels: label maps (N, *spatial) of the found and of the expected images, in the values of `domain`, which then must
    be given. spacing_mm: of the label maps, for domains that measure lengths. Raises ValueError for label maps of
    different shapes.
    """
    pixels = ImageParity(len(expected), largest_error(found, expected), psnr_db(found, expected, value_range))
    if labels is None or domain is None:
        return pixels
    return replace(pixels, flips=label_flips(*labels, domain), drifts=attribute_drifts(*labels, domain, spacing_mm))


def largest_error(found: NDArray[np.generic], expected: NDArray[np.generic]) -> float:
    """Largest absolute difference; NaN where the shapes differ or a value is not finite."""
    if found.shape != expected.shape or not (np.isfinite(found).all() and np.isfinite(expected).all()):
        return math.nan
    return float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64)), initial=0.0))


def psnr_db(found: NDArray[np.generic], expected: NDArray[np.generic], value_range: tuple[float, float]) -> float:
    """Peak signal-to-noise ratio of all samples, the peak being the width of `value_range`; infinite for equal images,
    NaN where the shapes differ or a value is not finite."""
    if math.isnan(largest_error(found, expected)):
        return math.nan
    squared = float(np.mean((found.astype(np.float64) - expected.astype(np.float64)) ** 2)) if found.size else 0.0
    low, high = value_range
    return 10.0 * math.log10((high - low) ** 2 / squared) if squared else math.inf


def label_flips(found: LabelMap, expected: LabelMap, domain: Domain) -> Flips:
    """Raises ValueError for label maps of different shapes."""
    if found.shape != expected.shape:
        raise ValueError(f"label maps {found.shape} and {expected.shape} do not compare")
    flipped, lesion = found != expected, None
    if domain.lesion is not None:
        either = domain.labels.region(found, domain.lesion) | domain.labels.region(expected, domain.lesion)
        lesion = Flips(int(either.sum()), int((flipped & either).sum()))
    return Flips(flipped.size, int(flipped.sum()), lesion)


def attribute_drifts(found: LabelMap, expected: LabelMap, domain: Domain,
                     spacing_mm: tuple[float, ...] | None = None) -> tuple[Drift, ...]:
    """One for each attribute of the domain that a label map can tell, measured on (N, *spatial) label maps."""
    here, there = domain.measure(found, spacing_mm), domain.measure(expected, spacing_mm)
    return tuple(_drift(attribute, here[attribute.name], there[attribute.name])
                 for attribute in domain.attributes if attribute.measurable)


def _drift(attribute: Attribute, found: NDArray[np.float32], expected: NDArray[np.float32]) -> Drift:
    here, there = np.isfinite(found), np.isfinite(expected)
    both = here & there
    apart = np.abs(found[both].astype(np.float64) - expected[both])
    median, high, largest = np.percentile(apart, (50, 95, 100)) if apart.size else (math.nan,) * 3
    return Drift(attribute.name, int(both.sum()), int((here != there).sum()),
                 float(apart.mean()) if apart.size else math.nan, float(median), float(high), float(largest),
                 ATTRIBUTE_TOLERANCE * (attribute.high - attribute.low))

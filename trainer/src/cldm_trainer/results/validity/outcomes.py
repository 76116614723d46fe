"""What one segmenter makes of one set of slices, slice by slice, and the figures that are sums over them.

| figure | over which slices | what |
|---|---|---|
| dice_<region> | reference holds the region | mean Dice, a miss counts 0 |
| bias_<attribute>, mae_<attribute> | reference holds the lesion, d is defined | mean of d, of |d| |
| missed | reference holds the lesion | share in which none is found |
| false | reference holds no lesion | share in which some is found |
| false_sized | reference holds no lesion | share in which one above `sized_pixels` is found |

d: found minus reference. A domain without a lesion has the first two lines, over all slices.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.domain import Domain
from cldm_runtime.domains.labels import LabelMap

from ..lesion_size import sized_pixels

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """What N slices show. attributes (N, A). masks (N, *spatial), or None where a generator drew the shape itself, from
    the attributes: nothing can overlap then. patients (N,)."""

    domain: Domain
    spacing_mm: tuple[float, ...]
    attributes: NDArray[np.float32]
    masks: LabelMap | None
    held: NDArray[np.bool_]
    patients: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.patients)


@dataclass(frozen=True)
class SliceOutcomes:
    """dice (N, R) of every region, NaN where the reference lacks it; difference (N, A), found minus reference, NaN
    where one is undefined; pixels (N,) of the lesion that is found."""

    dice: Values
    difference: Values
    pixels: NDArray[np.int64]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For a file."""
        return {"dice": self.dice, "difference": self.difference, "pixels": self.pixels}


def compare(found: LabelMap, truth: Truth) -> SliceOutcomes:
    """Outcomes of found label maps (N, *spatial)."""
    domain = truth.domain
    measured = domain.measure(found, truth.spacing_mm).values.astype(np.float64)
    if domain.lesion is None:
        pixels = np.zeros(len(found), dtype=np.int64)
    else:
        pixels = domain.labels.region(found, domain.lesion).reshape(len(found), -1).sum(axis=1).astype(np.int64)
    return SliceOutcomes(_dice(found, truth), measured - truth.attributes, pixels)


def _dice(found: LabelMap, truth: Truth) -> Values:
    labels = truth.domain.labels
    dice = np.full((len(found), len(labels.regions)), np.nan)
    if truth.masks is None:
        return dice
    for column, region in enumerate(labels.regions):
        a, b = (labels.region(maps, region).reshape(len(found), -1) for maps in (found, truth.masks))
        held = b.any(axis=1)
        dice[held, column] = 2.0 * (a & b).sum(axis=1)[held] / (a.sum(axis=1) + b.sum(axis=1))[held]
    return dice


def figure_names(domain: Domain) -> tuple[str, ...]:
    """Names of the figures, in the order of `terms`."""
    measurable = [attribute.name for attribute in domain.attributes if attribute.measurable]
    names = [f"dice_{region}" for region in domain.labels.regions]
    names += [f"{kind}_{name}" for kind in ("bias", "mae") for name in measurable]
    return (*names, *(("missed", "false", "false_sized") if domain.lesion is not None else ()))


def terms(outcomes: SliceOutcomes, truth: Truth) -> Values:
    """(N, F, 2): what each slice adds to the numerator and to the denominator of each figure."""
    domain = truth.domain
    chosen = [number for number, attribute in enumerate(domain.attributes) if attribute.measurable]
    difference = np.where(truth.held[:, None], outcomes.difference[:, chosen], np.nan)
    columns = [*outcomes.dice.T, *difference.T, *np.abs(difference).T]
    if domain.lesion is not None:
        found, sized = outcomes.pixels > 0, outcomes.pixels > sized_pixels(truth.spacing_mm)
        columns.append(np.where(truth.held, ~found, np.nan))
        columns += [np.where(truth.held, np.nan, seen) for seen in (found, sized)]
    values = np.stack(columns, axis=1).astype(np.float64)
    known = np.isfinite(values)
    return np.stack([np.where(known, values, 0.0), known], axis=-1)


def holds_lesion(domain: Domain, masks: LabelMap) -> NDArray[np.bool_]:
    """(N,) whether a label map holds the lesion; everywhere in a domain without one."""
    if domain.lesion is None:
        return np.ones(len(masks), dtype=bool)
    return np.asarray(domain.labels.region(masks, domain.lesion).reshape(len(masks), -1).any(axis=1))


def unit_of(figure: str, domain: Domain) -> str:
    """Unit of a figure: that of its attribute, else none."""
    units = {attribute.name: attribute.unit for attribute in domain.attributes}
    return units.get(figure.partition("_")[2], "1")


def values_of(sums: Values) -> Values:
    """(..., 2) sums -> (...) figures, NaN where no slice counts."""
    result = np.full(sums.shape[:-1], math.nan)
    np.divide(sums[..., 0], sums[..., 1], out=result, where=sums[..., 1] > 0)
    return result

"""Short-axis stacks: which slices show the whole ring of the wall, and the position of each between apex and base."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..attributes import Reason
from ..labels import LabelMap
from ..stack_rules import StackRules
from .attributes import LgeReason, measure_slices

POSITION = "slice_position"
ENDS = ("apex", "base")
_LEAST_SLICES, _TAPERED, _TREND = 4, 1.25, 0.7  # slices, ratio of areas and correlation that tell the ends apart
USABLE = (Reason.MEASURED, LgeReason.NO_INFARCT, Reason.NEEDS_STACK)


def usable_slices(labels: LabelMap, regions: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
    """(N,) whether a slice can be measured and, with `regions`, the first is a closed ring around the second."""
    measured = np.isin(measure_slices(labels).reasons, [int(reason) for reason in USABLE]).all(axis=1)
    if not regions:
        return np.asarray(measured, dtype=np.bool_)
    wall, inside = (np.isin(labels, values) for values in regions)
    closed = [is_closed_ring(w, i) for w, i in zip(wall, inside, strict=True)]
    return measured & np.array(closed, dtype=np.bool_)


def is_closed_ring(wall: NDArray[np.bool_], inside: NDArray[np.bool_]) -> bool:
    """Whether the wall encloses all of a non-empty inside: no path over pixel edges leads out of it."""
    return bool(inside.any() and ndimage.binary_fill_holes(wall)[inside].all())


def stack_positions(count: int) -> NDArray[np.float32]:
    """0 (apex) to 1 (base) over the `count` labelled slices of a stack; NaN for a single one."""
    return np.linspace(0.0, 1.0, count, dtype=np.float32) if count > 1 else np.full(count, np.nan, np.float32)


def first_end(labels: LabelMap) -> str:
    """The end that the first labelled slice of (Z, H, W) shows: the heart is smaller at the apex. "" for fewer than
    four labelled slices, and where their area does not clearly grow or shrink along the stack."""
    areas = np.count_nonzero(labels, axis=(1, 2)).astype(np.float64)
    areas = areas[areas > 0]
    third = len(areas) // 3
    if len(areas) < _LEAST_SLICES or areas.std() == 0.0:
        return ""
    first, last = areas[:third].mean(), areas[-third:].mean()
    trend = np.corrcoef(areas, np.arange(len(areas)))[0, 1]
    if max(first, last) < _TAPERED * min(first, last) or abs(trend) < _TREND:
        return ""
    return ENDS[0] if trend > 0 else ENDS[1]


STACK = StackRules(ENDS, ("myocardium", "lv_cavity"), usable_slices, "no closed ring", POSITION, stack_positions,
                   first_end)

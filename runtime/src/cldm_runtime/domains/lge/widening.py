"""Widens or narrows an infarct within its wall."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, MVO


def widen_infarct(labels: LabelMap, widening_mm: float, spacing_mm: tuple[float, ...]) -> LabelMap:
    """The (H, W) label map with an infarct (MI and MVO together) that reaches `widening_mm` further into the wall.

    Wall within that distance of the infarct, from pixel centre to pixel centre, becomes MI; MVO does not change. Below
    0, infarct and MVO within that distance of healthy wall become healthy, and the infarct may vanish. The cavity and
    the surroundings of the heart never change. Maps without infarct are not widened, and maps without healthy wall are
    not narrowed.
    """
    wall, infarct = labels >= HEALTHY, labels >= INFARCT
    if widening_mm >= 0:
        reached = _reached(infarct, wall, widening_mm, spacing_mm)
    else:
        reached = infarct & ~_reached(wall & ~infarct, wall, -widening_mm, spacing_mm)
    widened = np.where(wall, HEALTHY, labels)
    widened[reached] = np.where(labels[reached] == MVO, MVO, INFARCT)
    return widened.astype(np.uint8)


def _reached(start: NDArray[np.bool_], wall: NDArray[np.bool_], distance_mm: float,
             spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """The wall within a distance of `start`, a part of the wall, and connected to it through the wall."""
    if not start.any():
        return start
    near = wall & (ndimage.distance_transform_edt(~start, sampling=spacing_mm) <= distance_mm + 1e-9)
    pieces, _ = ndimage.label(near, structure=np.ones((3,) * near.ndim))
    reached: NDArray[np.bool_] = near & np.isin(pieces, np.unique(pieces[start]))
    return reached

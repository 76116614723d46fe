"""The contours of a reader: the true label map, drawn the way an annotator draws it.

Readers put the endocardial contour .8 +- .6 mm outside the edge that an image shows, and the epicardial contour .7 +-
.7 mm inside it, in waves of .5 mm (measured on two public LGE cases). Trabeculae and papillary muscles move the edge
that an image shows inwards by .5 mm, so the endocardial contour lies .3 mm outside the true border. Sizes of infarcts
differ between readings by a coefficient of variation of 8 to 15 % (Klem et al. 2017, PMC5553600), which the deviations
of `SCAR` are set for.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ....noise import Stream
from ..attributes import HEALTHY, INFARCT, LV_CAVITY, MVO
from ..ventricle import Field

Labels = NDArray[np.uint8]

_THINNEST_MM = 2.5  # wall that a reader leaves between his contours
_SMALLEST_MM2 = 12.0  # patches of infarct that he does not outline
_MARGIN_MM = 8.0  # beyond it no contour moves
_ORDERS = np.arange(1.0, 5.0)


@dataclass(frozen=True)
class Offsets:
    """Shift of a contour in mm, positive outwards: the mean over readers and, as deviations, of a whole stack, of a
    slice and of the waves around it."""

    mean: float
    stack: float
    slice: float
    waves: float

    def draw_stack(self, stream: Stream) -> float:
        return self.mean + self.stack * float(np.clip(stream.normal(), -2.5, 2.5))

    def draw_slice(self, stream: Stream, stack_mm: float) -> Field:
        """(1 + 2K,) shift of one slice: constant, and K cosines and sines."""
        shift = stream.normals((1 + 2 * len(_ORDERS),)).astype(np.float64)
        shift[0] = stack_mm + self.slice * shift[0]
        shift[1:] *= self.waves / np.sqrt(len(_ORDERS))
        return shift


# The deviations of stack and slice add up to .6 and .7 mm.
ENDOCARDIUM = Offsets(0.3, 0.5, 0.33, 0.5)
EPICARDIUM = Offsets(-0.7, 0.6, 0.36, 0.5)
SCAR = Offsets(0.2, 0.2, 0.2, 0.3)


def read_contours(labels: Labels, spacing_mm: float, stream: Stream) -> Labels:
    """The label maps (Z, H, W) of one reader; a pure function of its arguments. `stream` has the purpose READER.

    Every slice with a heart keeps a closed ring around a cavity. Without a heart it stays empty.
    """
    habits = [offsets.draw_stack(stream) for offsets in (ENDOCARDIUM, EPICARDIUM, SCAR)]
    read = np.zeros_like(labels)
    for drawn, true in zip(read, labels, strict=True):
        shifts = [offsets.draw_slice(stream, habit)
                  for offsets, habit in zip((ENDOCARDIUM, EPICARDIUM, SCAR), habits, strict=True)]
        if (true == LV_CAVITY).any():
            window = _window(true > 0, spacing_mm)
            drawn[window] = _read_slice(true[window], spacing_mm, shifts)
    return read


def _read_slice(true: Labels, spacing_mm: float, shifts: list[Field]) -> Labels:
    theta = _angles(true == LV_CAVITY)
    of_endocardium, of_epicardium, of_scar = (_shift(theta, coefficients) for coefficients in shifts)
    from_cavity = _signed_distance(true == LV_CAVITY, spacing_mm)
    cavity = from_cavity < of_endocardium
    cavity |= from_cavity <= from_cavity.min()  # the smallest cavity keeps a pixel
    heart = _signed_distance(true > 0, spacing_mm) < of_epicardium
    heart |= _signed_distance(cavity, spacing_mm) < _THINNEST_MM
    read = np.where(cavity, LV_CAVITY, np.where(heart, HEALTHY, 0)).astype(np.uint8)
    wall = read == HEALTHY
    scar = _outlined(true >= INFARCT, of_scar, spacing_mm)
    read[wall & scar] = INFARCT
    read[wall & scar & (true == MVO)] = MVO
    return read


def _outlined(scar: NDArray[np.bool_], shift: Field, spacing_mm: float) -> NDArray[np.bool_]:
    """A smooth outline without holes; patches that are too small are left out."""
    if not scar.any():
        return scar
    distance = ndimage.gaussian_filter(_signed_distance(scar, spacing_mm), 0.6 / spacing_mm)
    outline = ndimage.binary_fill_holes(distance < shift)
    pieces, count = ndimage.label(outline)
    area = ndimage.sum_labels(outline, pieces, np.arange(count + 1)) * spacing_mm**2
    return np.asarray((area >= _SMALLEST_MM2)[pieces] & outline)


def _signed_distance(region: NDArray[np.bool_], spacing_mm: float) -> Field:
    """Distance of pixel centres from the region's boundary in mm, negative inside."""
    outside, inside = (ndimage.distance_transform_edt(part) for part in (~region, region))
    return np.asarray(np.where(region, 0.5 - inside, outside - 0.5) * spacing_mm)


def _shift(theta: Field, coefficients: Field) -> Field:
    waves = np.concatenate([np.cos(_ORDERS[:, None, None] * theta), np.sin(_ORDERS[:, None, None] * theta)])
    return np.asarray(coefficients[0] + np.tensordot(coefficients[1:], waves, 1))


def _angles(cavity: NDArray[np.bool_]) -> Field:
    """(H, W) angle of the pixels about the centroid of the cavity."""
    y, x = (np.arange(count) - place.mean() for count, place in zip(cavity.shape, np.nonzero(cavity), strict=True))
    return np.asarray(np.arctan2(-y[:, None], x[None, :]))


def _window(heart: NDArray[np.bool_], spacing_mm: float) -> tuple[slice, slice]:
    """The part of a slice that contours can reach."""
    margin = int(np.ceil(_MARGIN_MM / spacing_mm))
    rows, columns = (np.flatnonzero(heart.any(axis=axis)) for axis in (1, 0))
    return (slice(max(0, rows[0] - margin), rows[-1] + margin + 1),
            slice(max(0, columns[0] - margin), columns[-1] + margin + 1))

"""Rotation of label maps about the centre of the image.

symbol   meaning
a        angle, counter-clockwise on the screen
u, v     mm to the right of the centre, and upwards: u = (column - centre) * spacing, v = (centre - row) * spacing
"""

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .labels import LabelMap

_SMOOTHING = 0.7  # pixels: makes borders nearly as smooth as drawn ones; patchy labels lose about 1 % of their area


def rotate_labels(labels: LabelMap, rotation_deg: float, spacing_mm: tuple[float, ...]) -> LabelMap:
    """A (H, W) label map rotated counter-clockwise by any angle about the centre of the image.

    Multiples of 180 degrees, and of 90 where image and pixels are square, are exact. Otherwise each label's map of 0
    and 1 is smoothed a little and interpolated linearly, and a pixel gets the label with the largest share: nearest
    neighbours would leave ragged borders. Labels that leave the image are lost; `overhang_mm` tells beforehand.
    Raises InputError for maps that are not slices.
    """
    _check_slice(labels.shape)
    quarters = rotation_deg / 90.0
    square = labels.shape[0] == labels.shape[1] and spacing_mm[0] == spacing_mm[1]
    if quarters == round(quarters) and (square or round(quarters) % 2 == 0):
        return np.ascontiguousarray(np.rot90(labels, round(quarters) % 4))
    present = [int(value) for value in np.unique(labels) if value]
    shares = [_turned((labels == value).astype(np.float64), rotation_deg, spacing_mm) for value in present]
    every = np.stack([np.ones(labels.shape) - sum(shares), *shares])
    turned: LabelMap = np.array([0, *present], dtype=np.uint8)[every.argmax(axis=0)]
    return turned


def _turned(share: NDArray[np.float64], rotation_deg: float, spacing_mm: tuple[float, ...]) -> NDArray[np.float64]:
    """One label's share of each pixel after rotation."""
    cos, sin, (height_mm, width_mm) = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg)), spacing_mm
    backwards = np.array([[cos, sin * width_mm / height_mm], [-sin * height_mm / width_mm, cos]])  # of (row, column)
    centre = (np.array(share.shape) - 1.0) / 2.0
    from scipy import ndimage  # here, because it takes 0.2 s to import

    smooth = ndimage.gaussian_filter(share, _SMOOTHING)
    offset = centre - backwards @ centre
    turned: NDArray[np.float64] = ndimage.affine_transform(smooth, backwards, offset=offset, order=1)
    return turned


def overhang_mm(labels: LabelMap, rotation_deg: float, spacing_mm: tuple[float, ...]) -> float:
    """How far the centre of a labelled pixel of a (H, W) map lies outside the image after rotation, in mm; 0 if none
    does. Raises InputError for maps that are not slices."""
    _check_slice(labels.shape)
    half = np.array(labels.shape) * np.array(spacing_mm) / 2.0
    row, column = np.nonzero(labels)
    if not row.size:
        return 0.0
    v: NDArray[np.float64] = half[0] - (row + 0.5) * spacing_mm[0]
    u: NDArray[np.float64] = (column + 0.5) * spacing_mm[1] - half[1]
    cos, sin = np.cos(np.deg2rad(rotation_deg)), np.sin(np.deg2rad(rotation_deg))
    outside = np.maximum(np.abs(sin * u + cos * v) - half[0], np.abs(cos * u - sin * v) - half[1])
    return max(0.0, float(outside.max()))


def _check_slice(shape: tuple[int, ...]) -> None:
    if len(shape) != 2:
        raise InputError(f"label maps of shape {shape} cannot be turned: expected slices (height, width).")

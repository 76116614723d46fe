"""From a volume to what networks see: crop around the heart, resample in the plane, normalise each slice."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError


@dataclass(frozen=True)
class Window:
    """The pixels of the result: `shape` (H, W) with `spacing_mm` (y, x), centred on a point of the volume."""

    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    margin_mm: float = 0.0
    """how far every label must stay away from the window's border"""


def labelled_box(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """First and last labelled row and column over all slices of (Z, H, W): [[top, bottom], [left, right]]."""
    inside = np.any(labels, axis=0)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    return np.array([[rows[0], rows[-1]], [columns[0], columns[-1]]])


def check_fits(box: NDArray[np.int64], spacing_mm: Sequence[float], window: Window) -> None:
    """Raise InputError when the labels and the margin are larger than the window: cutting them would falsify them."""
    size = (box[:, 1] - box[:, 0] + 1) * np.asarray(spacing_mm)
    room = np.asarray(window.shape) * np.asarray(window.spacing_mm) - 2 * window.margin_mm
    if (size > room).any():
        raise InputError(
            f"the labels measure {size[0]:.0f} x {size[1]:.0f} mm, the window without its margin holds "
            f"{room[0]:.0f} x {room[1]:.0f} mm. Choose a larger spacing_mm or a smaller margin_mm."
        )


def _sampling(
    centre: NDArray[np.float64], spacing_mm: Sequence[float], window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset of the affine map from result pixels to source pixels."""
    scale = np.asarray(window.spacing_mm) / np.asarray(spacing_mm)
    return scale, centre - scale * (np.asarray(window.shape) - 1) / 2


def resample_image(
    pixels: NDArray[np.float32],
    centre: NDArray[np.float64],
    spacing_mm: Sequence[float],
    window: Window,
    order: int = 1,
) -> NDArray[np.float32]:
    """(Z, H, W) -> (Z, *window.shape), each slice for itself. `order` is that of the spline: 1 linear, 3 cubic.

    Where the window is coarser than the volume, a Gaussian of deviation (factor - 1) / 2 pixels goes first, so that
    fine texture does not alias. Outside the volume stands the slice's lowest value.
    """
    scale, offset = _sampling(centre, spacing_mm, window)
    blur = np.maximum(0.0, (scale - 1) / 2)
    result = np.empty((len(pixels), *window.shape), np.float32)
    for z, plane in enumerate(pixels):
        smooth = ndimage.gaussian_filter(plane, blur, mode="nearest") if blur.any() else plane
        result[z] = ndimage.affine_transform(
            smooth, scale, offset, window.shape, order=order, mode="constant", cval=float(plane.min())
        )
    return result


def resample_labels(
    labels: NDArray[np.uint8], classes: int, centre: NDArray[np.float64], spacing_mm: Sequence[float], window: Window
) -> NDArray[np.uint8]:
    """(Z, H, W) -> (Z, *window.shape): each class as a map of shares, linearly, then the class of the largest share."""
    scale, offset = _sampling(centre, spacing_mm, window)
    blur = np.maximum(0.0, (scale - 1) / 2)
    result = np.empty((len(labels), *window.shape), np.uint8)
    for z, plane in enumerate(labels):
        shares = np.zeros((classes, *window.shape), np.float32)
        for value in np.unique(plane):
            share = (plane == value).astype(np.float32)
            smooth = ndimage.gaussian_filter(share, blur, mode="nearest") if blur.any() else share
            shares[value] = ndimage.affine_transform(
                smooth, scale, offset, window.shape, order=1, mode="constant", cval=float(value == 0)
            )
        result[z] = shares.argmax(axis=0)
    return result


def normalise(plane: NDArray[np.float32], percentiles: tuple[float, float]) -> NDArray[np.float32]:
    """The lower percentile becomes 0, the upper one 1, and everything beyond is clipped.

    Raises InputError for a slice whose percentiles coincide: there is nothing to see, and dividing by 0 would hide it.
    """
    low, high = np.percentile(plane, percentiles)
    if not high > low:
        raise InputError(f"the slice is constant (percentiles {percentiles[0]} and {percentiles[1]} are both {low:g})")
    result: NDArray[np.float32] = np.clip((plane - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return result

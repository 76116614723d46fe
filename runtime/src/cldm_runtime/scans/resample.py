"""From an image to the input of networks: crop around the labels, resample, normalise. Any number of spatial axes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError

_ROUNDING = 1e-6  # headers keep spacings in single precision; a border would else lie just outside the image


@dataclass(frozen=True)
class Window:
    """The pixels of the result: `shape` with `spacing_mm` (both in the order z, y, x, or y, x), centred on a point of
    the image."""

    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    margin_mm: float = 0.0
    """least distance of every label from the window's border"""


def labelled_box(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """First and last labelled index along each spatial axis over all of (N, *spatial): (axes, 2), such as
    [[top, bottom], [left, right]]."""
    inside = np.any(labels, axis=0)
    occupied = [np.flatnonzero(inside.any(axis=tuple(other for other in range(inside.ndim) if other != axis)))
                for axis in range(inside.ndim)]
    return np.array([[indices[0], indices[-1]] for indices in occupied])


def check_fits(box: NDArray[np.int64], centre: NDArray[np.float64], spacing_mm: Sequence[float],
               window: Window) -> None:
    """Raise InputError if the labels and the margin reach beyond the window: cropped labels would measure wrong."""
    size = (2 * np.abs(box.T - centre).max(axis=0) + 1) * np.asarray(spacing_mm)  # of the box symmetric about centre
    room = np.asarray(window.shape) * np.asarray(window.spacing_mm) - 2 * window.margin_mm
    if (size > room).any():
        raise InputError(f"the labels measure {_by(size)} mm about the window's centre, the window without its margin "
                         f"holds {_by(room)} mm. Choose a larger spacing_mm or a smaller margin_mm.")


def _by(lengths: NDArray[np.float64]) -> str:
    return " x ".join(f"{length:.0f}" for length in lengths)


def _sampling(
    centre: NDArray[np.float64], spacing_mm: Sequence[float], window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scale and offset of the affine map from result pixels to source pixels."""
    scale = np.asarray(window.spacing_mm) / np.asarray(spacing_mm)
    scale = np.where(np.abs(scale - 1) < _ROUNDING, 1.0, scale)
    return scale, centre - scale * (np.asarray(window.shape) - 1) / 2


def resample_image(
    pixels: NDArray[np.float32],
    centre: NDArray[np.float64],
    spacing_mm: Sequence[float],
    window: Window,
    order: int = 1,
) -> NDArray[np.float32]:
    """(N, *spatial) -> (N, *window.shape), each image separately. `order` of the spline: 1 linear, 3 cubic.

    If the window is coarser than the image, a Gaussian of standard deviation (factor - 1) / 2 pixels is applied first,
    so that fine texture does not alias. Pixels outside the image get its lowest value.
    """
    scale, offset = _sampling(centre, spacing_mm, window)
    blur = np.maximum(0.0, (scale - 1) / 2)
    result = np.empty((len(pixels), *window.shape), np.float32)
    for number, image in enumerate(pixels):
        smooth = ndimage.gaussian_filter(image, blur, mode="nearest") if blur.any() else image
        result[number] = ndimage.affine_transform(
            smooth, scale, offset, window.shape, order=order, mode="constant", cval=float(image.min())
        )
    return result


def resample_labels(
    labels: NDArray[np.uint8], centre: NDArray[np.float64], spacing_mm: Sequence[float], window: Window
) -> NDArray[np.uint8]:
    """(N, *spatial) -> (N, *window.shape): the indicator of each class is resampled linearly, and each pixel gets the
    class of the largest value, the lowest class of a tie."""
    scale, offset = _sampling(centre, spacing_mm, window)
    blur = np.maximum(0.0, (scale - 1) / 2)
    result = np.zeros((len(labels), *window.shape), np.uint8)
    for number, image in enumerate(labels):
        largest = np.zeros(window.shape, np.float32)
        for value in np.unique(image):
            share = (image == value).astype(np.float32)
            smooth = ndimage.gaussian_filter(share, blur, mode="nearest") if blur.any() else share
            resampled = ndimage.affine_transform(
                smooth, scale, offset, window.shape, order=1, mode="constant", cval=float(value == 0)
            )
            result[number][resampled > largest] = value
            np.maximum(largest, resampled, out=largest)
    return result


def resample_nearest(holes: NDArray[np.bool_], centre: NDArray[np.float64], spacing_mm: Sequence[float], window: Window,
                     *, outside: bool = False) -> NDArray[np.bool_]:
    """(N, *spatial) -> (N, *window.shape), the nearest voxel's value; `outside` beyond the image."""
    scale, offset = _sampling(centre, spacing_mm, window)
    return np.stack([ndimage.affine_transform(each.astype(np.uint8), scale, offset, window.shape, order=0,
                                              mode="constant", cval=outside) > 0 for each in holes])


def normalise(image: NDArray[np.float32], percentiles: tuple[float, float], known: NDArray[np.bool_] | None = None
              ) -> NDArray[np.float32]:
    """The lower percentile becomes 0, the upper one 1, and values beyond are clipped. Both percentiles are those of the
    `known` pixels; None: of all.

    Raises InputError for an image without known pixels, and for one whose percentiles coincide: it is constant, and
    would be divided by 0.
    """
    values = image if known is None else image[known]
    if not values.size:
        raise InputError("every voxel of the image is NaN or padding here")
    low, high = np.percentile(values, percentiles)
    if not high > low:
        raise InputError(f"the image is constant (percentiles {percentiles[0]} and {percentiles[1]} are both {low:g})")
    result: NDArray[np.float32] = np.clip((image - low) / (high - low), 0.0, 1.0).astype(np.float32)
    return result

"""Padding: the rim of an image that holds one exact value, as shifted slices and enlarged grids have.

No scanner measures the same number in every pixel of a line. Such lines show nothing, so no statistic should count
them: the zeros of a rim lie far below the intensities of a scan with an offset, and would take its contrast away.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHORTEST = 4  # pixels; a shorter line may hold one value by chance
_LEAST_WITHIN = 0.5  # of the image; what a larger rim surrounds lies on a background, as a brain without its skull


def inner_box(image: NDArray[Any]) -> tuple[slice, ...] | None:
    """The part of an image (*spatial) within the rim of lines (planes of a volume) of one value; None without a rim.

    A rim takes at most half of the image. Where the borders hold several values, it is that of the value which leaves
    least.
    """
    boxes = [box for value in _border_values(image) if (box := _box_of(image != value)) is not None]
    likely = [box for box in boxes if image[box].size >= _LEAST_WITHIN * image.size]
    return min(likely, key=lambda box: image[box].size, default=None)


def padding(image: NDArray[Any]) -> NDArray[np.bool_]:
    """(*spatial) True where the image is padding."""
    rim = np.ones(image.shape, np.bool_)
    rim[inner_box(image) or ...] = False
    return rim


def without_padding(image: NDArray[Any]) -> NDArray[Any]:
    """The image with the nearest of its own pixels in place of padding, so that interpolation blends nothing in."""
    box = inner_box(image)
    if box is None:
        return image
    widths = [(side.start, size - side.stop) for side, size in zip(box, image.shape, strict=True)]
    return np.pad(image[box], widths, mode="edge")


def _border_values(image: NDArray[Any]) -> Iterator[Any]:
    """The value of each outermost line that holds one value alone."""
    for axis in range(image.ndim):
        for end in (0, -1):
            line = image.take(end, axis)
            if line.size >= _SHORTEST and (line == line.flat[0]).all():
                yield line.flat[0]


def _box_of(inside: NDArray[np.bool_]) -> tuple[slice, ...] | None:
    """The least box around all True; None where there is none."""
    if not inside.any():
        return None
    sides = []
    for axis in range(inside.ndim):
        found = np.flatnonzero(inside.any(axis=tuple(other for other in range(inside.ndim) if other != axis)))
        sides.append(slice(int(found[0]), int(found[-1]) + 1))
    return tuple(sides)

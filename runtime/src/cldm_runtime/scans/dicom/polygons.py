"""Closed contours as pixels, by the even-odd rule.

A pixel is inside where a ray from its centre crosses the contours an odd number of times: a contour within another one
is a hole.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill(polygons: Sequence[NDArray[np.float64]], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """(rows, columns) whether the centre of each pixel is inside. polygons (n, 2): row and column of each corner, the
    first pixel's centre being (0, 0)."""
    crossings = np.zeros((shape[0], shape[1] + 1), np.bool_)
    for corners in polygons:
        for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            first, last = sorted((y0, y1))
            rows = np.arange(max(int(np.ceil(first)), 0), min(int(np.ceil(last)), shape[0]))  # the lower end is open
            at = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            columns = np.clip(np.ceil(at), 0, shape[1]).astype(np.int64)
            crossings[rows, columns] ^= True  # every pixel from there on lies on the other side
    return np.asarray(np.logical_xor.accumulate(crossings, axis=1)[:, :-1])

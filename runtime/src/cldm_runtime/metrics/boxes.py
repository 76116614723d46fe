"""The box around a mask."""

import numpy as np
from numpy.typing import NDArray


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    """The smallest box around a mask (*spatial); the whole image where the mask is empty."""
    occupied = [np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
                for axis in range(mask.ndim)]
    if occupied[0].size == 0:
        return tuple(slice(0, size) for size in mask.shape)
    return tuple(slice(int(places[0]), int(places[-1]) + 1) for places in occupied)

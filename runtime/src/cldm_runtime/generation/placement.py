"""The grid of a given image and that of a bundle, which may differ in size: padded or cropped, and put back exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class GridPlacement:
    """Which part of an image's grid lies where in the grid of a bundle. size: of the bundle's grid."""

    image: tuple[slice, ...]
    window: tuple[slice, ...]
    shape: tuple[int, ...]
    size: tuple[int, ...]

    def cut(self, image: Float32) -> Float32:
        """(C, *shape) -> (C, *size), 0 beyond the image."""
        cut = np.zeros((len(image), *self.size), np.float32)
        cut[:, *self.window] = image[:, *self.image]
        return cut

    def put_back(self, drawn: NDArray[Any]) -> NDArray[Any]:
        """(..., *size) -> (..., *shape), 0 beyond the bundle's grid."""
        first = (slice(None),) * (drawn.ndim - len(self.size))
        whole = np.zeros((*drawn.shape[:len(first)], *self.shape), drawn.dtype)
        whole[first + self.image] = drawn[first + self.window]
        return whole


def place(image: Float32, size: tuple[int, ...]) -> GridPlacement:
    """Where a bundle's grid of that size lies on an image (C, *spatial): centred along an axis that is shorter, and on
    what is not 0 along a longer one. Raises InputError for an image with more than fits."""
    inside, window = list[slice](), list[slice]()
    shape, shown = image.shape[1:], (image != 0).any(axis=0)
    if not shown.any():
        raise InputError("the image is empty: every voxel is 0.")
    for axis, (length, room) in enumerate(zip(shape, size, strict=True)):
        if length <= room:
            before = (room - length) // 2
            inside.append(slice(0, length))
            window.append(slice(before, before + length))
            continue
        found = np.flatnonzero(shown.any(axis=tuple(other for other in range(shown.ndim) if other != axis)))
        if found[-1] - found[0] + 1 > room:
            raise InputError(f"what the image shows is {found[-1] - found[0] + 1} voxels long along axis {axis}, the "
                             f"bundle draws {room}. Crop or resample the image.")
        start = int(np.clip((found[0] + found[-1] + 1 - room) // 2, 0, length - room))
        inside.append(slice(start, start + room))
        window.append(slice(0, room))
    return GridPlacement(tuple(inside), tuple(window), shape, size)

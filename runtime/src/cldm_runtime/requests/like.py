"""A given image that a sample is drawn towards."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Like:
    """image: (C, *spatial) in the bundle's value range. similarity: 0 is free generation, 1 the given image as far as
    the noise of `from_step` leaves it. from_step: the training step at which it is mixed in."""

    image: NDArray[np.float32]
    similarity: float
    from_step: int

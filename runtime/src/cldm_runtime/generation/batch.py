"""What generation gives at a time."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap

Images = NDArray[np.float32]


class Batch(NamedTuple):
    """n samples: images (n, C, *spatial) float32 in the bundle's value range, masks (n, *spatial) uint8 or None if no
    condition comes from label maps; of a bundle that draws label maps, their channels and themselves; requested (n, A)
    float32 in the domain's attribute order (NaN where undefined or not requested), sample_index (n,) int64, grid_row
    (n,) int64, condition (n,) int64 or None if no two samples share one, draws (n,) int64 how many label maps were
    sampled for each, or None if no map was sampled, imaging (n, B) float32 the requested attributes of images, and the
    noise level that was drawn where none was requested, or None if the bundle takes none, tries (n,) int64 how many
    images were generated for each until one was accepted, 0 where none was, or None without a quality filter."""

    images: Images
    masks: LabelMap | None
    requested: NDArray[np.float32]
    sample_index: NDArray[np.int64]
    grid_row: NDArray[np.int64]
    condition: NDArray[np.int64] | None = None
    draws: NDArray[np.int64] | None = None
    imaging: NDArray[np.float32] | None = None
    tries: NDArray[np.int64] | None = None

    def __repr__(self) -> str:
        return f"<Batch of samples {self.sample_index.min()} to {self.sample_index.max()}, images {self.images.shape}>"

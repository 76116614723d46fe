"""What of an image is painted anew, and the rest that stays as it is, pixel for pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap

MARGIN_MM, FEATHER_MM = 7.0, 5.0  # around what changes in the label map; of it, from the border inwards
_DETAIL_MM = 6.0  # from what changes outwards: a lesion that is painted over would shine through its own detail


@dataclass(frozen=True)
class Painting:
    """region: (*spatial) where pixels may change. weight: (*spatial) float32, the share of the new image, 0 outside the
    region. detail: (*spatial) float32, the share that is kept of what the networks leave out of the given image, such
    as its noise; 0 where labels change. image: (C, *spatial) the given image; None: the image of the sample before this
    one, the other of its pair.
    """

    region: NDArray[np.bool_]
    weight: NDArray[np.float32]
    detail: NDArray[np.float32]
    image: NDArray[np.float32] | None = None


def painting_of(before: LabelMap, after: LabelMap, spacing_mm: tuple[float, ...],
                image: NDArray[np.float32] | None = None) -> Painting:
    """The region within MARGIN_MM of what changes between two (*spatial) label maps. From its border inwards, the share
    of the new image rises over FEATHER_MM to 1, so that the seam lies inside the region."""
    changed = before != after
    if not changed.any():
        nowhere = np.zeros(changed.shape, np.float32)
        return Painting(changed, nowhere, nowhere, image)
    from scipy import ndimage  # slow to import

    outwards = ndimage.distance_transform_edt(~changed, sampling=spacing_mm)
    region, detail = outwards <= MARGIN_MM, np.clip(outwards / _DETAIL_MM, 0.0, 1.0)
    inwards = ndimage.distance_transform_edt(np.pad(region, 1), sampling=spacing_mm)[(slice(1, -1),) * region.ndim]
    share = np.clip(inwards / FEATHER_MM, 0.0, 1.0)
    weight = share * share * (3.0 - 2.0 * share)
    return Painting(region, weight.astype(np.float32), detail.astype(np.float32), image)


def composed(painting: Painting, given: NDArray[np.floating], painted: NDArray[np.floating],
             unpainted: NDArray[np.floating]) -> NDArray[np.float32]:
    """(C, *spatial) the given image, with the difference that painting makes added inside the region.

    painted, unpainted: (C, *spatial) what the networks give with the edit, and without. Outside the region every pixel
    is the given one. Where labels change it is the painted one; between, the given image keeps its own detail.
    """
    lost = (1.0 - painting.detail) * (given - unpainted)
    changed = given + painting.weight * (painted - unpainted - lost)
    return np.where(painting.region, changed, given).astype(np.float32)

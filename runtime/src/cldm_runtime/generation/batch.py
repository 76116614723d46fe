"""What generation gives at a time."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from ..requests.sources import SampleRequest

Images = NDArray[np.float32]


class Batch(NamedTuple):
    """n samples: images (n, C, *spatial) float32 in the bundle's value range, masks (n, *spatial) uint8 or None if no
    condition comes from label maps; of a bundle that draws label maps, their channels and themselves; requested (n, A)
    float32 in the domain's attribute order (NaN where undefined or not requested), sample_index (n,) int64, grid_row
    (n,) int64, condition (n,) int64 or None if no two samples share one, draws (n,) int64 how many label maps were
    sampled for each, or None if no map was sampled, imaging (n, B) float32 the requested attributes of images, and the
    noise level that was drawn where none was requested, or None if the bundle takes none, tries (n,) int64 how many
    images were generated for each until one was accepted, 0 where none was, or None without a quality filter, pair (n,)
    int64 number of the pair that each belongs to, given_row (n,) int64 number of the given label map, painted
    (n, *spatial) uint8 1 where the image was painted anew, place (n, P) float32 where the lesion was requested to lie;
    these four None if there are none."""

    images: Images
    masks: LabelMap | None
    requested: NDArray[np.float32]
    sample_index: NDArray[np.int64]
    grid_row: NDArray[np.int64]
    condition: NDArray[np.int64] | None = None
    draws: NDArray[np.int64] | None = None
    imaging: NDArray[np.float32] | None = None
    tries: NDArray[np.int64] | None = None
    pair: NDArray[np.int64] | None = None
    given_row: NDArray[np.int64] | None = None
    painted: NDArray[np.uint8] | None = None
    place: NDArray[np.float32] | None = None

    def __repr__(self) -> str:
        return f"<Batch of samples {self.sample_index.min()} to {self.sample_index.max()}, images {self.images.shape}>"


def linked(requests: Sequence[SampleRequest]) -> dict[str, Any]:
    """The fields of a batch that say what samples have in common with others, and with given images, and their draws.
    """
    conditions = [request.condition for request in requests if request.condition is not None]
    draws = [request.draws for request in requests]
    pairs = [request.pair for request in requests if request.pair is not None]
    rows = [request.given_row for request in requests if request.given_row is not None]
    places = [request.place for request in requests if request.place is not None]
    regions = [_painted(request) for request in requests] if any(request.painting for request in requests) else []
    return {"condition": np.array(conditions, np.int64) if conditions else None,
            "draws": np.array(draws, np.int64) if any(draws) else None,
            "pair": np.array(pairs, np.int64) if pairs else None,
            "given_row": np.array(rows, np.int64) if rows else None,
            "painted": np.stack(regions) if regions else None,
            "place": np.stack(places) if places else None}


def _painted(request: SampleRequest) -> NDArray[np.uint8]:
    assert request.mask is not None  # or nothing could be painted
    region = np.zeros(request.mask.shape, np.bool_) if request.painting is None else request.painting.region
    return region.astype(np.uint8)

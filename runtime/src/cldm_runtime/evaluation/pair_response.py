"""The pairs of a file, and what a segmentation makes of them."""

import numpy as np

from ..metrics.pair_response import PairResponse, pair_response, size_bins
from ..metrics.seam import seam_ratio
from ..requests.painting import FEATHER_MM
from ..store import Dataset
from ..store.links import painted as painted_regions
from ..store.links import pairs_of
from .summary import REPLICATES, Samples


def read_pair_response(dataset: Dataset, name: str, samples: Samples, seed: int = 0,
                       replicates: int = REPLICATES) -> PairResponse | None:
    """The response of the segmentation `name`; None for a file without pairs, without masks or without a lesion size,
    and where only a part of the file is reported.

    Doses are the rows of the grid, where it has several, else bins of painted size. Intervals resample given images as
    a whole where they are known, else pairs.
    """
    size = samples.domain.lesion_size
    if "pair" not in dataset or samples.mask is None or size is None or len(samples) != len(dataset):
        return None
    column, pairs = samples.domain.attribute_names.index(size), pairs_of(dataset)
    painted, measured = (table[pairs, column].astype(np.float64) for table in (samples.mask, samples.attributes))
    given, rows = dataset.given_row, dataset.grid_row
    clusters = np.arange(len(pairs)) if given is None else given[pairs[:, 1]]
    by_row = rows is not None and len(np.unique(rows)) > 1
    groups = rows[pairs[:, 1]] if rows is not None and by_row else size_bins(painted[:, 1])
    unit = samples.domain.attributes[column].unit
    place, known, found = samples.domain.place, samples.places.mask, samples.places.segmentation
    places = () if place is None or known is None or found is None else place.compare(known[pairs[:, 1]],
                                                                                      found[pairs[:, 1]])
    seams = np.array([_seam(dataset, int(first), int(second)) for first, second in pairs])
    return pair_response(size, unit, painted, measured, groups, clusters, replicates, seed, places, seams)


def _seam(dataset: Dataset, first: int, second: int) -> float:
    """How rough the border of the painted region of a pair's second image is; NaN where nothing was painted."""
    region = painted_regions(dataset, slice(second, second + 1))
    if region is None:
        return float("nan")
    return seam_ratio(dataset.images(first), dataset.images(second), region[0], dataset.spacing_mm, FEATHER_MM)

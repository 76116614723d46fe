"""Pairs of samples of a generated file, and the regions that were painted anew."""

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .reader import Dataset
from .segmentation import Rows


def pairs_of(dataset: Dataset) -> NDArray[np.int64]:
    """(P, 2) rows of the two samples of each pair: without the lesion or as given, and edited.

    Raises DatasetError for a file without pairs, and where a pair has not two samples.
    """
    pair = dataset.pair
    if pair is None:
        raise DatasetError(f"{dataset.path}: has no /pair. Make the file with cldm-gen --pairs.")
    numbers, first, counts = np.unique(pair, return_index=True, return_counts=True)
    rows = np.stack([first, first + 1], axis=1).astype(np.int64)
    if (counts != 2).any() or (pair[rows[:, 1]] != numbers).any():
        raise DatasetError(f"{dataset.path}: pair {numbers[counts != 2][:1].tolist()} of /pair has not two samples, "
                           "one after the other. Write the file again.")
    return rows


def painted(dataset: Dataset, rows: Rows = slice(None)) -> NDArray[np.bool_] | None:
    """(n, *spatial) where the images were painted anew; None if no image was composed."""
    return dataset._rows("painted", rows).astype(np.bool_) if "painted" in dataset else None

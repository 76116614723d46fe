"""Checks that a dataset has every sample once, and unchanged since it was written.

A generated file has a checksum for each sample: CRC-32 of the stored image, the label map (if the file has them) and
the sample's index as a 64-bit integer, all little endian, one after the other. It detects damage, not forgery.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError
from .reader import Dataset


@dataclass(frozen=True)
class SampleFaults:
    """Indices of the samples that are missing from a file, are in it more than once, or are damaged."""

    missing: NDArray[np.int64]
    doubled: NDArray[np.int64]
    damaged: NDArray[np.int64]

    def __bool__(self) -> bool:
        return bool(self.missing.size or self.doubled.size or self.damaged.size)

    @property
    def all(self) -> NDArray[np.int64]:
        return np.unique(np.concatenate([self.missing, self.doubled, self.damaged]))


def sample_checksums(images: NDArray[np.generic], masks: NDArray[np.generic] | None,
                     indices: NDArray[np.generic]) -> NDArray[np.uint32]:
    """(n,) checksums of stored images (n, C, *spatial), their label maps, and their indices (n,)."""
    stored, numbers = np.ascontiguousarray(images, dtype="<u2"), np.ascontiguousarray(indices, dtype="<i8")
    checksums = np.empty(len(stored), dtype=np.uint32)
    for row, image in enumerate(stored):
        value = zlib.crc32(image.data)
        if masks is not None:
            value = zlib.crc32(np.ascontiguousarray(masks[row]).data, value)
        checksums[row] = zlib.crc32(numbers[row:row + 1].data, value)
    return checksums


def check_samples(dataset: Dataset, samples: range | NDArray[np.int64],
                  progress: Callable[[int], None] = lambda count: None) -> SampleFaults:
    """Compare a file with its checksums and with the indices of the expected samples. progress: receives the number of
    rows read.

    Raises DatasetError for a file without checksums or sample indices.
    """
    checksums, indices = dataset.checksum, dataset.sample_index
    if checksums is None or indices is None:
        raise DatasetError(f"{dataset.path}: has no /checksum, as files of earlier runtimes and cohorts: only its "
                           "structure can be checked.")
    damaged = []
    for start in range(0, len(indices), dataset.rows_at_once):
        rows = slice(start, min(start + dataset.rows_at_once, len(indices)))
        if not _is_unchanged(dataset, rows, indices, checksums):
            single = (slice(row, row + 1) for row in range(rows.start, rows.stop))
            damaged += [int(indices[row.start]) for row in single
                        if not _is_unchanged(dataset, row, indices, checksums)]
        progress(rows.stop - rows.start)
    present, counts = np.unique(indices, return_counts=True)
    expected = np.asarray(samples, dtype=np.int64)
    return SampleFaults(np.setdiff1d(expected, present), present[counts > 1],
                        np.array(sorted([*damaged, *np.setdiff1d(present, expected)]), dtype=np.int64))


def _is_unchanged(dataset: Dataset, rows: slice, indices: NDArray[np.int64], checksums: NDArray[np.uint32]) -> bool:
    """Whether rows can be read and match their checksums."""
    try:
        masks = dataset.masks(rows) if "masks" in dataset else None
        computed = sample_checksums(dataset.stored_images(rows), masks, indices[rows])
    except DatasetError:
        return False
    return bool((computed == checksums[rows]).all())

"""Chosen slices of a dataset file, read block by block, and what the eight symmetries of the square make of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.metrics.padding import inner_box
from cldm_runtime.store import open_dataset

Images = NDArray[np.float32]  # (n, C, H, W)
Rows = NDArray[np.int64]
Names = NDArray[np.str_]
_STEPS = 65535  # of the 16 bits that images are stored in


@dataclass(frozen=True)
class ImageRows:
    """Slices of a file. `rows`: (N,) of the file; `patients`: (N,) pseudonyms, or None where they are not known."""

    path: Path
    rows: Rows
    patients: Names | None

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, positions: Rows | slice) -> Images:
        """The slices at these positions of `rows`, (n, C, H, W)."""
        with open_dataset(self.path) as dataset:
            return dataset.images(self.rows[positions])

    def blocks(self, size: int) -> Iterator[tuple[slice, Images]]:
        """Positions and slices, at most `size` at a time."""
        with open_dataset(self.path) as dataset:
            for start in range(0, len(self), size):
                positions = slice(start, min(start + size, len(self)))
                yield positions, dataset.images(self.rows[positions])

    def chosen(self, positions: Rows) -> "ImageRows":
        """Some of them."""
        patients = None if self.patients is None else self.patients[positions]
        return ImageRows(self.path, self.rows[positions], patients)

    def groups(self, kind: str) -> Names:
        """(N,) the patient of each slice; without patients, each slice gets a unique name that begins with
        `kind`, so that slices of two files are never grouped."""
        return np.array([f"{kind} {row}" for row in self.rows]) if self.patients is None else self.patients


def rows_of_subsets(path: Path, subsets: tuple[str, ...]) -> ImageRows:
    """Every slice of a cohort in one of these subsets. Raises InputError where there is none."""
    with open_dataset(path) as dataset:
        rows, patients = dataset.rows(subsets), dataset.patients
    return ImageRows(path, rows, None if patients is None else patients[rows])


def symmetries(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Numbers of the symmetries that keep an image (..., H, W) of this shape: 8 of a square, 4 of a rectangle."""
    return tuple(range(8)) if shape[-2] == shape[-1] else (0, 2, 4, 6)


def turned(images: Images, symmetry: int) -> Images:
    """Images (..., H, W) turned by 90 degrees `symmetry % 4` times, and mirrored from 4 on; nothing is interpolated."""
    rotated: Images = np.rot90(images, symmetry % 4, axes=(-2, -1))
    return rotated[..., ::-1] if symmetry >= 4 else rotated


def levelled(images: Images, percentiles: tuple[float, float] | None) -> Images:
    """Images (n, C, H, W) with the percentiles of each channel at 0 and 1, clipped, in steps of 1 / 65535: as `prepare`
    stores them.

    Two sets that went through it differ neither in range, nor in the share of black and white pixels, nor in rounding.
    `percentiles` are (low, high) in 0..100; None clips and rounds alone. A constant channel becomes 0.
    """
    values = images.astype(np.float64)
    if percentiles is not None:
        low, high = (ends[..., None, None] for ends in _percentiles(values, percentiles))
        values = np.divide(values - low, high - low, out=np.zeros_like(values), where=high > low)
    return np.asarray(np.rint(np.clip(values, 0.0, 1.0) * _STEPS) / _STEPS, dtype=np.float32)


def _percentiles(values: NDArray[np.float64], percentiles: tuple[float, float]) -> NDArray[np.float64]:
    """(2, n, C) both percentiles of each channel of (n, C, H, W), without its padding."""
    ends = np.percentile(values, percentiles, axis=(2, 3))
    for image, channel in np.ndindex(values.shape[:2]):
        if box := inner_box(values[image, channel]):
            ends[:, image, channel] = np.percentile(values[image, channel][box], percentiles)
    return ends


def standardised(images: Images) -> Images:
    """Images (n, C, H, W) with mean 0 and standard deviation 1 each, over pixels and channels; constant ones are 0."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    centred = flat - flat.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    even = np.divide(centred, deviation, out=np.zeros_like(centred), where=deviation > 1e-12)
    return np.asarray(even.reshape(images.shape), dtype=np.float32)

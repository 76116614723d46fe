"""Samples of a dataset as image files of other programs, and label maps on their grid.

A sample has the name of its row. The axes of a NIfTI file are x (columns), y (rows) and z, which run to the left, to
the back and up, and its first voxel is at the origin. A slice is a volume of one plane.
"""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .volume_files import ARRAY_ENDING, NIFTI_ENDINGS, PICTURE_ENDINGS, imported, read_array, read_geometry

_SAME_SPACING = 0.01  # relative
_SAME_DIRECTION = 1e-3
_SAME_PLACE = 0.5  # of a voxel
_TO_LEFT_AND_BACK = np.diag([-1.0, -1.0, 1.0])  # x, y, z of a sample in NIfTI's space, which is right, front, up


def case_name(row: int) -> str:
    """The name of a row, without channel and ending: sample00012."""
    return f"sample{row:05d}"


def nifti_bytes(array: NDArray[Any], spacing_mm: Sequence[float], thickness_mm: float = 1.0) -> bytes:
    """A packed NIfTI file of a slice (H, W) or a volume (D, H, W). spacing_mm: one number for each axis. The same array
    gives the same bytes."""
    nibabel = imported("nibabel")
    x, y, z = (*reversed(spacing_mm), thickness_mm)[:3]
    volume = array if array.ndim == 3 else array[None]
    image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([-x, -y, z, 1.0]))
    image.header.set_xyzt_units("mm")
    stream = io.BytesIO()
    with gzip.GzipFile("", "wb", 1, stream, 0) as packed:  # without a date or a name
        image.to_stream(packed)
    return stream.getvalue()


def read_on_grid(file: Path, shape: tuple[int, ...], spacing_mm: tuple[float, ...]) -> NDArray[Any]:
    """The array of a file as the sample lies whose file this is, or was made from. Raises InputError.

    A file whose header says that it shows the same place with other axes is turned back. One without a place (pictures,
    arrays, headers that say nothing, the origin with axes of another program's default) is taken as it is stored.
    """
    array, spacing, matrix = read_array(file)
    if not file.name.endswith((*PICTURE_ENDINGS, ARRAY_ENDING)):
        array, spacing = _turned_back(file, array, spacing, matrix)
    found = array if len(shape) == 3 else array[0] if len(array) == 1 else array
    if found.shape != shape:
        raise InputError(f"{file.name}: its shape is {found.shape}, expected {shape}")
    if file.name.endswith(NIFTI_ENDINGS) and not np.allclose(spacing[-len(shape):], spacing_mm, _SAME_SPACING):
        raise InputError(f"{file.name}: its pixels are {spacing[-len(shape):]} mm, expected {spacing_mm}")
    return found


def _turned_back(file: Path, array: NDArray[Any], spacing: tuple[float, ...], matrix: NDArray[np.float64]
                 ) -> tuple[NDArray[Any], tuple[float, ...]]:
    """Array (z, y, x) and spacing with the axes of a sample. matrix: `read_array`'s, in the space of its program."""
    affine = np.eye(4)
    rank = len(matrix) - 1
    affine[:rank, :rank], affine[:rank, 3] = matrix[:rank, :rank], matrix[:rank, rank]
    if file.name.endswith(NIFTI_ENDINGS):
        affine[:3] = _TO_LEFT_AND_BACK @ affine[:3]  # now in the space of ITK, whose axes a sample has
    widths = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / np.where(widths > 0, widths, 1)
    signs = np.rint(directions)
    if np.array_equal(signs, np.eye(3)) and np.allclose(directions, signs, atol=_SAME_DIRECTION):
        _check_place(file, affine[:3, 3], widths)
        return array, spacing
    if _says_nothing(file, affine, signs):
        return array, spacing
    if not np.allclose(directions, signs, atol=_SAME_DIRECTION) or not (np.abs(signs).sum(0) == 1).all():
        raise InputError(f"{file.name}: its axes are turned by an angle. Resample it to the grid of the image")
    order = [int(axis) for axis in np.abs(signs).argmax(1)]  # axis of the file for x, y, z of the sample
    flipped = [signs[place, axis] < 0 for place, axis in enumerate(order)]
    sizes = array.shape[::-1]
    first = affine[:3, 3] + sum((affine[:3, axis] * (sizes[axis] - 1) for axis, flip in zip(order, flipped, strict=True)
                                 if flip), np.zeros(3))
    _check_place(file, first, widths[order])
    turned = array.transpose([2 - axis for axis in order[::-1]])
    turned = turned[tuple(slice(None, None, -1 if flip else 1) for flip in flipped[::-1])]
    return turned, tuple(spacing[2 - axis] for axis in order[::-1])


def _check_place(file: Path, first: NDArray[np.float64], widths: NDArray[np.float64]) -> None:
    """Raise InputError where the first voxel is not at the origin, as that of a sample is."""
    if not (np.abs(first) <= _SAME_PLACE * widths).all():
        shift = ", ".join(f"{value:.4g}" for value in first)
        raise InputError(f"{file.name}: its first voxel lies {shift} mm (x, y, z) from that of the image. Resample it "
                         "to the grid of the image, or give it the affine of the image")


def _says_nothing(file: Path, affine: NDArray[np.float64], signs: NDArray[np.float64]) -> bool:
    """Whether the axes of a NIfTI file are unknown, or those of a program that was given no axes but sizes: straight
    on, from the origin."""
    if not file.name.endswith(NIFTI_ENDINGS):
        return False
    straight = np.array_equal(_TO_LEFT_AND_BACK @ signs, np.eye(3)) and not affine[:3, 3].any()
    return straight or read_geometry(file).directions is None

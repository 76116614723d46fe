"""The volumes of a case: its channels and its label map, checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .nnunet_raw import Case
from .volume_files import read_array

GEOMETRY_TOLERANCE = 1e-3
_LARGEST_LABEL = 2**31


@dataclass(frozen=True)
class Volume:
    """`pixels` (C, Z, H, W) float32 and `labels` (Z, H, W) int64; `spacing_mm` in the order z, y, x."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    spacing_mm: tuple[float, float, float]


def read_volume(case: Case, channels: Sequence[int] = (0,), *, check_geometry: bool = True,
                slices_first: bool = True) -> Volume:
    """The channels of a case with its label map.

    slices_first: the axis of the largest spacing becomes the first, along which slices are cut; otherwise the axes keep
    their stored order. `check_geometry=False` compares the shapes only, for datasets whose label files lost their
    affine. Raises InputError for an unreadable file, differing geometry, or label values that are not whole numbers.
    """
    labels, spacing, label_affine = read_array(case.label_file)
    whole = _whole_numbers(case, labels)
    pixels = []
    for channel in channels:
        if not 0 <= channel < len(case.image_files):
            raise InputError(f"case {case.name}: channel {channel} was requested, the case has "
                             f"{len(case.image_files)} channels")
        array, spacing, affine = read_array(case.image_files[channel])
        _check_alike(case, array, labels)
        if check_geometry and (affine.shape != label_affine.shape
                               or not np.allclose(affine, label_affine, atol=GEOMETRY_TOLERANCE)):
            raise InputError(f"case {case.name}: image and label map differ in geometry (affines "
                             f"{_difference(affine, label_affine)})")
        pixels.append(array)
    order = _slices_first(spacing) if slices_first else (0, 1, 2)
    ordered = (spacing[order[0]], spacing[order[1]], spacing[order[2]])
    return Volume(np.stack([np.asarray(array.transpose(order), np.float32) for array in pixels]),
                  np.ascontiguousarray(whole.transpose(order)), ordered)


def _check_alike(case: Case, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    if pixels.shape != labels.shape:
        raise InputError(f"case {case.name}: the image is {_zyx(pixels.shape)} pixels (z, y, x), its label map "
                         f"{_zyx(labels.shape)}")
    if not np.isfinite(pixels).all():
        raise InputError(f"case {case.name}: the image holds values that are not finite")


def _whole_numbers(case: Case, labels: NDArray[Any]) -> NDArray[np.int64]:
    if not np.isfinite(labels).all():
        raise InputError(f"case {case.name}: the label map holds values that are not finite")
    if np.abs(labels.astype(np.float64)).max() > _LARGEST_LABEL:
        raise InputError(f"case {case.name}: the label map holds values beyond {_LARGEST_LABEL}")
    whole: NDArray[np.int64] = np.rint(labels).astype(np.int64)
    if not np.array_equal(whole, labels):
        raise InputError(f"case {case.name}: the label map holds values that are not whole numbers")
    return whole


def _slices_first(spacing: Sequence[float]) -> tuple[int, ...]:
    """The axes, that of the largest spacing first; the stored order where no spacing stands out."""
    through = int(np.argmax(spacing)) if max(spacing) > 1.01 * spacing[0] else 0
    return (through, *(axis for axis in range(3) if axis != through))


def _difference(affine: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    if affine.shape != other.shape:
        return f"of {len(affine) - 1} and {len(other) - 1} axes"
    return f"differ by up to {np.abs(affine - other).max():.3g}"


def _zyx(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)

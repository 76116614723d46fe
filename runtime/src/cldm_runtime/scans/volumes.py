"""The volumes of a case: its channels and its label map, checked against each other."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .geometry import AS_STORED, Turn
from .nnunet_raw import Case
from .sources import read_array

GEOMETRY_TOLERANCE = 1e-3
LABEL_TOLERANCE = 1e-3  # how far from a whole number a label may lie: headers that scale leave 0.9999
_LARGEST_LABEL = 2**31


@dataclass(frozen=True)
class Volume:
    """`pixels` (C, Z, H, W) float32 and `labels` (Z, H, W) int64; `spacing_mm` in the order z, y, x. `missing`, as
    `pixels`: voxels that were NaN and have the lowest value of their channel now; None if no voxel was. `truth`, as
    `labels`: the true label map, where `labels` are what a reader drew."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    spacing_mm: tuple[float, float, float]
    missing: NDArray[np.bool_] | None = None
    truth: NDArray[np.int64] | None = None


def read_volume(case: Case, channels: Sequence[int] = (0,), *, check_geometry: bool = True, allow_nan: bool = False,
                turn: Turn = AS_STORED) -> Volume:
    """The channels of a case with its label map.

    turn: how the arrays are turned, see `plan_turns`. `check_geometry=False` compares the shapes only, for datasets
    whose label files lost their affine. `allow_nan=True` gives voxels of NaN the lowest value of their channel. Raises
    InputError for an unreadable file, differing geometry, values that are not finite, or label values that are not
    whole numbers.
    """
    labels, label_affine = _read_labels(case, check_geometry=check_geometry)
    whole = _whole_numbers(case, labels)
    check_geometry = check_geometry and not (case.lost_affine and np.array_equal(label_affine, np.eye(4)))
    pixels = []
    for channel in channels:
        if not 0 <= channel < len(case.image_files):
            raise InputError(f"case {case.name}: channel {channel} was requested, the case has "
                             f"{len(case.image_files)} channels")
        array, spacing, affine = read_array(case.image_files[channel])
        _check_alike(case, array, labels)
        if check_geometry and _lie_elsewhere(affine, label_affine):
            raise InputError(
                f"case {case.name}: image and label map differ in geometry (affines "
                f"{_difference(affine, label_affine)}; expected at most {GEOMETRY_TOLERANCE:g}). Copy the image's "
                "affine to the label map; or, where both arrays show the same voxels, set prepare.check_geometry = "
                "false, which compares their sizes alone")
        pixels.append(np.asarray(turn.apply(_finite(case, array, allow_nan)), np.float32))
    ordered = (spacing[turn.axes[0]], spacing[turn.axes[1]], spacing[turn.axes[2]])
    stacked = np.stack(pixels)
    missing = np.isnan(stacked)
    for channel, holes in zip(stacked, missing, strict=True):
        channel[holes] = channel[~holes].min(initial=np.inf)
    return Volume(stacked, np.ascontiguousarray(turn.apply(whole)), ordered, missing if missing.any() else None,
                  _read_truth(case, labels, turn))


def _read_truth(case: Case, labels: NDArray[Any], turn: Turn) -> NDArray[np.int64] | None:
    """The true label map of a case that has one. It lies on the grid of the label map."""
    if case.truth_file is None:
        return None
    truth, _, _ = read_array(case.truth_file)
    if truth.shape != labels.shape:
        raise InputError(f"case {case.name}: the true label map is {_zyx(truth.shape)} pixels (z, y, x), the label map "
                         f"{_zyx(labels.shape)}. Write both again")
    return np.ascontiguousarray(turn.apply(_whole_numbers(case, truth)))


def _lie_elsewhere(affine: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return affine.shape != other.shape or not np.allclose(affine, other, atol=GEOMETRY_TOLERANCE)


def _read_labels(case: Case, *, check_geometry: bool) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """The label map and its affine; of files of one region each, all in one map."""
    if not case.regions:
        labels, _, affine = read_array(case.label_file)
        return labels, affine
    whole, affine = np.zeros(0, np.int64), np.zeros(0)
    for number, (file, value) in enumerate(case.regions):
        region, _, place = read_array(file)
        if number == 0:
            whole, affine = np.zeros(region.shape, np.int64), place
        if region.shape != whole.shape or (check_geometry and _lie_elsewhere(place, affine)):
            raise InputError(f"case {case.name}: {case.regions[0][0].name} and {file.name} differ in size or geometry: "
                             f"{_zyx(whole.shape)} and {_zyx(region.shape)} pixels (z, y, x). Save both on the grid of "
                             "the image")
        if not np.isfinite(region).all():
            raise InputError(f"case {case.name}: {file.name} holds values that are not finite. Save it as uint8")
        whole[region > 0] = value
    return whole, affine


def _check_alike(case: Case, pixels: NDArray[Any], labels: NDArray[Any]) -> None:
    if pixels.shape != labels.shape:
        raise InputError(f"case {case.name}: the image is {_zyx(pixels.shape)} pixels (z, y, x), its label map "
                         f"{_zyx(labels.shape)}")


def _finite(case: Case, pixels: NDArray[Any], allow_nan: bool) -> NDArray[Any]:
    """The pixels. Raises InputError for infinity and for values that float32 does not hold, for NaN alone, and for NaN
    anywhere unless it is allowed."""
    with np.errstate(invalid="ignore"):
        infinite, missing = np.abs(pixels) > np.finfo(np.float32).max, np.isnan(pixels)
    if infinite.any():
        raise InputError(f"case {case.name}: the image holds values that are not finite or beyond 3.4e38, "
                         f"{infinite.mean():.2g} of its voxels. Replace them by the value of air, for example with "
                         "numpy.nan_to_num(voxels, posinf=0, neginf=0), and save the image again")
    if missing.all():
        raise InputError(f"case {case.name}: every voxel of the image is NaN. Export it again from its source")
    if missing.any() and not allow_nan:
        raise InputError(f"case {case.name}: the image holds values that are not finite (NaN), {missing.mean():.2g} of "
                         'its voxels. If they lie outside the field of view, set prepare.nan = "lowest", which '
                         "replaces them by the image's lowest value and leaves them out of the percentiles")
    return pixels


def _whole_numbers(case: Case, labels: NDArray[Any]) -> NDArray[np.int64]:
    if not np.isfinite(labels).all():
        raise InputError(f"case {case.name}: the label map holds values that are not finite (NaN or infinity). Save it "
                         "as uint8")
    if np.abs(labels.astype(np.float64)).max() > _LARGEST_LABEL:
        raise InputError(f"case {case.name}: the label map holds values beyond {_LARGEST_LABEL}")
    whole: NDArray[np.int64] = np.rint(labels).astype(np.int64)
    off = np.abs(labels.astype(np.float64) - whole)
    if off.max() > LABEL_TOLERANCE:
        worst = np.asarray(labels).ravel()[int(off.argmax())]
        raise InputError(f"case {case.name}: the label map holds values that are not whole numbers, such as {worst:g} "
                         f"(expected at most {LABEL_TOLERANCE:g} from one, as scaled headers leave). It was "
                         "interpolated or holds probabilities: save labels as uint8, resampled by nearest neighbour")
    return whole


def _difference(affine: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    if affine.shape != other.shape:
        return f"of {len(affine) - 1} and {len(other) - 1} axes"
    return f"differ by up to {np.abs(affine - other).max():.3g}"


def _zyx(shape: Sequence[int]) -> str:
    return "x".join(str(size) for size in shape)

"""Cases whose images are given and whose label maps are sought: the sequences of each, normalised as a bundle was
trained, and label maps back on the grid of the files.
"""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle.manifest import ImageSpec
from ..errors import InputError, list_faults
from ..files.atomic import whole_stream
from ..metrics.padding import padding
from .file_patterns import files_below
from .layout_cases import find_cases
from .layouts import file_layouts
from .resample import normalise
from .volume_files import imported, read_array

_SAME_PLACE = 1e-3  # mm
_SAME_SPACING = 0.01  # relative
_SHOWN = 3


@dataclass(frozen=True)
class GivenCase:
    """Files of one case. files: name of each sequence -> file."""

    name: str
    files: Mapping[str, Path]


@dataclass(frozen=True)
class GivenScan:
    """image: (C, z, y, x) float32 in the value range of the bundle. affine: (4, 4) from voxel (x, y, z) to mm."""

    image: NDArray[np.float32]
    spacing_mm: tuple[float, ...]
    affine: NDArray[np.float64]


def find_given_cases(folder: Path, channels: int) -> list[GivenCase]:
    """The cases of a folder, or the one that the folder is, by the layouts whose images have that many sequences.

    Raises InputError that names every sequence that is missing or there twice, and for a folder without cases.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Give a folder of cases, or a dataset (.h5).")
    layouts = [layout for layout in file_layouts() if len(layout.images) == channels]
    home, first_missing = folder.resolve(), []
    paths = [f"{home.name}/{path}" for path in files_below(folder)]
    for layout in layouts:
        found = find_cases(layout, paths, labelled=False)
        if found.has_images and found.missing:
            raise InputError(list_faults(f"{folder}: {len(found.missing)} fault(s), with sequences named as in "
                                         f"{layout.title}. Have each once, or move these cases away.", found.missing))
        if found.cases:
            return [GivenCase(case.name, dict(zip(layout.images, [home.parent / path for path in case.images],
                                                  strict=True))) for case in found.cases]
        first_missing.append(f"{layout.title}: {found.missing[0]}")
    shown = "; ".join(" ".join(list(layout.images.values())[:_SHOWN]) + " ..." for layout in layouts)
    raise InputError(list_faults(f"{folder}: holds no case with {channels} sequences. Expected files named like "
                                 f"{shown or 'none'}", first_missing))


def read_given_case(case: GivenCase, spec: ImageSpec) -> GivenScan:
    """The sequences of a case. spec: of the images that the bundle takes.

    Raises InputError for sequences of different grids, NaN, an empty image, and voxels of another size.
    """
    arrays = {name: read_array(file) for name, file in case.files.items()}
    (first, (voxels, spacing, affine)), *others = arrays.items()
    for name, (other, _, placed) in others:
        if other.shape != voxels.shape:
            raise InputError(f"case {case.name}: {name} has {other.shape} voxels (z, y, x), {first} {voxels.shape}. "
                             "Resample them to one grid.")
        if not np.allclose(placed, affine, atol=_SAME_PLACE):
            raise InputError(f"case {case.name}: {name} and {first} have different affines, so they show different "
                             "places. Register and resample them to one grid.")
    if not np.allclose(spacing, spec.spacing_mm, rtol=_SAME_SPACING):
        raise InputError(f"case {case.name}: voxels are {_by(spacing)} mm (z, y, x), the bundle takes "
                         f"{_by(spec.spacing_mm)} mm. Resample the images.")
    low, high = spec.value_range
    channels = [_shares(array, spec, f"case {case.name}: {name}") for name, (array, _, _) in arrays.items()]
    return GivenScan(low + (high - low) * np.stack(channels), spacing, affine)


def _by(lengths: tuple[float, ...]) -> str:
    return " x ".join(f"{length:g}" for length in lengths)


def _shares(array: NDArray[Any], spec: ImageSpec, where: str) -> NDArray[np.float32]:
    """A sequence between 0 and 1, as cohorts are prepared."""
    pixels = array.astype(np.float32)
    if not np.isfinite(pixels).all():
        raise InputError(f"{where} holds NaN or infinite voxels. Replace them first.")
    rule = spec.normalisation.outside or "auto"
    outside = pixels == 0 if rule == "zero" else padding(pixels) if rule == "auto" else np.zeros(pixels.shape, np.bool_)
    try:
        shares = normalise(pixels, (spec.normalisation.low, spec.normalisation.high), ~outside)
    except InputError as error:
        raise InputError(f"{where} is empty: {error}. Check the file.") from error
    return np.where(outside, np.float32(0), shares)


def write_on_grid(file: Path, array: NDArray[np.generic], affine: NDArray[np.float64]) -> None:
    """Write (z, y, x), or (C, z, y, x) as a fourth axis, with the affine of the input. The file appears whole or not at
    all, and the same array gives the same bytes."""
    nibabel = imported("nibabel")
    image = nibabel.Nifti1Image(array.transpose(range(array.ndim)[::-1]), affine)
    image.header.set_xyzt_units("mm")
    with whole_stream(file) as stream, gzip.GzipFile("", "wb", 1, stream, 0) as packed:
        image.to_stream(packed)


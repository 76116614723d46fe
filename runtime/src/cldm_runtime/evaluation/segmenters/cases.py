"""Rows of a dataset as image files and back: how they are named, and how label maps return."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, list_faults
from ...files.user_files import list_folder
from ...scans.volume_files import NIFTI_ENDINGS, OTHER_ENDINGS, imported, read_array
from ...store import Dataset

_ENDINGS = (*NIFTI_ENDINGS, *OTHER_ENDINGS)
_SAME_SPACING = 0.01  # relative


def case_name(row: int) -> str:
    """The name of a row, without channel and ending: sample00012."""
    return f"sample{row:05d}"


def write_images(dataset: Dataset, rows: range, folder: Path) -> list[Path]:
    """sample00012_0000.nii.gz, a file for each row and channel, as nnU-Net names them; float32, a slice as a volume
    of one plane. The axes of a file are x (columns), y (rows), z, which run to the left, to the back and up."""
    nibabel = imported("nibabel")
    spacing = (*reversed(dataset.spacing_mm), 1.0)[:3]
    files = []
    for row in rows:
        for number, channel in enumerate(dataset.images(row)):
            volume = channel if channel.ndim == 3 else channel[None]
            image = nibabel.Nifti1Image(volume.transpose(2, 1, 0), np.diag([-spacing[0], -spacing[1], spacing[2], 1]))
            files.append(folder / f"{case_name(row)}_{number:04d}.nii.gz")
            nibabel.save(image, files[-1])
    return files


def read_label_maps(dataset: Dataset, rows: Sequence[int], folder: Path) -> NDArray[np.generic]:
    """(n, *spatial) values of sample00012.nii.gz, or another ending, for these rows. Raises InputError that names
    every file that is missing or has another grid."""
    files, faults, maps = label_map_files(folder), list[str](), []
    for row in rows:
        file = files.get(case_name(row))
        if file is None:
            faults.append(f"{case_name(row)}: no file {case_name(row)}.nii.gz, or with another ending")
            continue
        array, spacing, _ = read_array(file)
        found = array if len(dataset.shape) == 3 else array[0] if len(array) == 1 else array
        axes = len(dataset.shape)
        if found.shape != dataset.shape:
            faults.append(f"{file.name}: its shape is {found.shape}, expected {dataset.shape}")
        elif file.name.endswith(NIFTI_ENDINGS) and not np.allclose(spacing[-axes:], dataset.spacing_mm, _SAME_SPACING):
            faults.append(f"{file.name}: its pixels are {spacing[-axes:]} mm, expected {dataset.spacing_mm}")
        else:
            maps.append(found)
    if faults:
        raise InputError(list_faults(f"{folder}: the label maps do not fit the rows of {dataset.path}.", faults))
    return np.stack(maps) if maps else np.zeros((0, *dataset.shape), np.uint8)


def label_map_files(folder: Path) -> dict[str, Path]:
    """Name without ending -> file, of all files of a folder that may hold a label map."""
    return {path.name[:-len(ending)]: path for path in list_folder(folder)
            for ending in _ENDINGS if path.name.endswith(ending)}

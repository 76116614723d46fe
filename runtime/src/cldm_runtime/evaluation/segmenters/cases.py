"""Rows of a dataset as image files and back: how they are named, and how label maps return."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, list_faults
from ...files.user_files import list_folder
from ...scans.sample_files import case_name, nifti_bytes, read_on_grid
from ...scans.volume_files import NIFTI_ENDINGS, OTHER_ENDINGS
from ...store import Dataset

_ENDINGS = (*NIFTI_ENDINGS, *OTHER_ENDINGS)


def write_images(dataset: Dataset, rows: range, folder: Path) -> list[Path]:
    """sample00012_0000.nii.gz, a file for each row and channel, as nnU-Net names them; float32, a slice as a volume
    of one plane. The axes of a file are x (columns), y (rows), z, which run to the left, to the back and up."""
    files = []
    for row in rows:
        for number, channel in enumerate(dataset.images(row)):
            files.append(folder / f"{case_name(row)}_{number:04d}.nii.gz")
            files[-1].write_bytes(nifti_bytes(channel, dataset.spacing_mm))
    return files


def read_label_maps(dataset: Dataset, rows: Sequence[int], folder: Path, headline: str = "") -> NDArray[np.generic]:
    """(n, *spatial) values of sample00012.nii.gz, or another ending, for these rows, with the axes of the images.
    headline: of the message, in place of one that names the folder.

    Raises InputError that names every file that is missing, there twice, cannot be read or has another grid."""
    files, maps = label_map_files(folder), []
    faults = file_faults(files, [case_name(row) for row in rows])
    for row in rows:
        if len(found := files.get(case_name(row), [])) != 1:
            continue
        try:
            maps.append(read_on_grid(found[0], dataset.shape, dataset.spacing_mm))
        except InputError as error:
            faults.append(str(error))
    if faults:
        headline = headline or f"{folder}: the label maps do not fit the rows of {dataset.path}."
        raise InputError(list_faults(headline, faults))
    return np.stack(maps) if maps else np.zeros((0, *dataset.shape), np.uint8)


def label_map_files(folder: Path) -> dict[str, list[Path]]:
    """Name without ending -> its files, of all files of a folder that may hold a label map."""
    files: dict[str, list[Path]] = {}
    for path in list_folder(folder):
        for ending in _ENDINGS:
            if path.name.endswith(ending):
                files.setdefault(path.name[:-len(ending)], []).append(path)
    return files


def file_faults(files: Mapping[str, Sequence[Path]], names: Sequence[str]) -> list[str]:
    """A sentence for each name without a file, and for each with several: nobody knows which of them is meant."""
    faults = []
    for name in names:
        found = files.get(name, [])
        if not found:
            faults.append(f"{name}: no file {name}.nii.gz, or with another ending")
        elif len(found) > 1:
            faults.append(f"{name}: is there {len(found)} times: {', '.join(path.name for path in found)}. Keep one")
    return faults

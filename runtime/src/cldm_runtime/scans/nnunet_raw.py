"""nnU-Net v2 raw datasets: which files there are, and how they pair up.

Layout (https://github.com/MIC-DKFZ/nnUNet, documentation/dataset_format.md): `dataset.json`, `imagesTr/CASE_0000.ext`,
`labelsTr/CASE.ext`, and the same with `Ts`. Ours may have `truthTr/CASE.ext` too: the true label map, where labelsTr
holds what a reader drew. `subsets.py` reads the optional files that name patients and subsets.
"""

import gzip
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle.nnunet_labels import read_labels
from ..errors import InputError
from ..files.atomic import whole_stream
from ..files.user_files import composed, list_folder, read_json
from .sources import ArraySource, files_of
from .subsets import check_patients, patients_of, split_note, subsets_of
from .volume_files import imported

_ENDING = re.compile(r"(\.[A-Za-z0-9]{1,10}){1,3}")


@dataclass(frozen=True)
class Case:
    """One image (a file or a DICOM series for each channel) with its label map.

    regions: files that show one region each, in place of one label map, with its label value: it is where the file is
    above 0, and the last one decides where several are. lost_affine: the label map may have the identity for an affine.
    truth_file: the true label map, where `label_file` is what a reader drew of it; only phantoms have one.
    """

    name: str
    patient: str
    subset: str
    image_files: tuple[ArraySource, ...]
    label_file: ArraySource
    regions: tuple[tuple[Path, int], ...] = ()
    lost_affine: bool = False
    truth_file: Path | None = None

    @property
    def label_files(self) -> tuple[Path, ...]:
        return tuple(file for file, _ in self.regions) or files_of(self.label_file)


@dataclass(frozen=True)
class RawDataset:
    """`labels` maps a label's name in the dataset to the values that carry it; `extra` is the whole dataset.json, or
    what a layout knows of it. `split`: how the validation patients were chosen, "" where the dataset names them.
    `source`: where the labels' names stand. `meanings`: name of a label -> label of a domain without one of that name.
    `notes`: what was decided on the layout, a sentence each."""

    folder: Path
    labels: Mapping[str, tuple[int, ...]]
    cases: tuple[Case, ...]
    extra: Mapping[str, object]
    split: str = ""
    source: str = "dataset.json"
    meanings: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_raw_dataset(folder: Path, *, fold: int = 0, validation_share: float = 0.05) -> tuple[RawDataset, list[str]]:
    """List the cases of a raw dataset with the faults found (missing pairs, inconsistent splits).

    The subset of a case comes from `subsets.json`, else from fold `fold` of `splits_final.json`, else the last
    `validation_share` of the sorted training patients are "val". Test cases are "test" unless `subsets.json` names
    another subset. Raises InputError if `dataset.json` cannot be used at all.
    """
    description = read_json(folder / "dataset.json")
    if not isinstance(description, dict) or not isinstance(description.get("labels"), dict):
        raise InputError(
            f"{folder / 'dataset.json'}: expected an object with `labels`, `channel_names` and `file_ending`."
        )
    ending = str(description.get("file_ending", ".nii.gz"))
    if not _ENDING.fullmatch(ending):
        raise InputError(f"{folder / 'dataset.json'}: file_ending is {ending!r}, expected one such as .nii.gz.")
    labels = read_labels(description["labels"], folder / "dataset.json")
    faults: list[str] = []
    train = _pairs(folder, "Tr", ending, description, faults)
    test = _pairs(folder, "Ts", ending, description, faults)
    for name in sorted(train.keys() & test.keys()):
        faults.append(f"case {name} is in imagesTr and in imagesTs")
    known = dict.fromkeys(train, "train") | dict.fromkeys(test, "test")
    patients = patients_of(folder, {name: name for name in known}, faults)
    subsets = subsets_of(folder, known, patients, fold, validation_share, faults)
    cases = tuple(
        Case(name, patients[name], subsets[name], images, label, truth_file=_truth_of(label))
        for name, (images, label) in sorted({**train, **test}.items())
        if name in subsets
    )
    faults += [f"case {case.name}: {case.truth_file} is missing" for case in cases
               if case.truth_file and not os.path.isfile(case.truth_file)]
    check_patients(patients, subsets, faults)
    if not cases and not faults:
        faults.append(f"{folder / 'imagesTr'}: no case ends with {ending}")
    split = split_note(folder, known, patients, subsets, validation_share)
    return RawDataset(folder, labels, cases, description, split), faults


def _truth_of(label: Path) -> Path | None:
    """The file of the same name in truthTr or truthTs, if one of these folders is there."""
    raw, part = label.parent.parent, label.parent.name.removeprefix("labels")
    known = (raw / "truthTr").is_dir() or (raw / "truthTs").is_dir()
    return raw / f"truth{part}" / label.name if known else None


Pairs = dict[str, tuple[tuple[Path, ...], Path]]


def _pairs(folder: Path, part: str, ending: str, description: Mapping[str, object], faults: list[str]) -> Pairs:
    """Image files and label file of each case of one part (Tr, Ts). A part without label folder is left out."""
    listed = description.get("dataset")
    if part == "Tr" and isinstance(listed, dict):
        pairs = {str(name): _listed_files(folder, str(name), entry) for name, entry in listed.items()}
    else:
        pairs = _scan(folder, part, ending, faults)
    channels = description.get("channel_names")
    expected = len(channels) if isinstance(channels, dict) else 1
    for name, (images, label) in pairs.items():
        if len(images) != expected:
            faults.append(f"case {name}: {len(images)} image files where dataset.json names {expected} channels")
        faults.extend(f"case {name}: {file} is missing" for file in (*images, label) if not os.path.isfile(file))
    return pairs


def _listed_files(folder: Path, name: str, entry: object) -> tuple[tuple[Path, ...], Path]:
    """The files that dataset.json gives for a case. Raises InputError for one outside the folder."""
    images = entry.get("images") if isinstance(entry, dict) else None
    label = entry.get("label") if isinstance(entry, dict) else None
    if not isinstance(images, list) or not all(isinstance(file, str) for file in (*images, label)):
        raise InputError(f"{folder / 'dataset.json'}: case {name}: expected images, a list of files, and label, one.")
    root = os.path.abspath(folder)
    for file in (*images, label):
        if "\0" in file or os.path.commonpath([root, os.path.abspath(folder / file)]) != root:
            raise InputError(f"{folder / 'dataset.json'}: case {name}: {file!r} leads out of the folder. Copy the file "
                             "into it, or link to it there.")
    return tuple(folder / file for file in images), folder / str(label)


def _scan(folder: Path, part: str, ending: str, faults: list[str]) -> Pairs:
    images, labels = folder / f"images{part}", folder / f"labels{part}"
    if not labels.is_dir():
        if part == "Tr":
            faults.append(f"{labels}: there is no such folder")
        return {}
    grouped: dict[str, list[Path]] = {}
    for file in list_folder(images, ending):
        stem = file.name.removesuffix(ending)
        if len(stem) < 6 or stem[-5] != "_" or not re.fullmatch("[0-9]{4}", stem[-4:]):
            faults.append(f"{file}: the name must end with a channel number such as _0000{ending}")
            continue
        grouped.setdefault(composed(stem[:-5]), []).append(file)
    maps = {composed(file.name.removesuffix(ending)): file for file in list_folder(labels, ending)}
    faults.extend(f"{file}: there is no image for this label map in {images.name}"
                  for name, file in maps.items() if name not in grouped)
    return {name: (tuple(files), maps.get(name, labels / f"{name}{ending}")) for name, files in grouped.items()}


def write_nifti(file: Path, array: NDArray[np.generic], spacing_mm: Sequence[float],
                affine: NDArray[np.float64] | None = None) -> None:
    """Write a (Z, H, W) array with its spacing (z, y, x) in mm. The file appears whole or not at all.

    affine: (4, 4) from (x, y, z) to space; None: axes to the right, to the front and up, from the origin.
    """
    if affine is None:
        affine = np.diag([spacing_mm[2], spacing_mm[1], spacing_mm[0], 1.0])
    nibabel = imported("nibabel")
    image = nibabel.Nifti1Image(array.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    with whole_stream(file) as stream:
        if file.suffix == ".gz":  # as nibabel compresses, without a date or a name
            with gzip.GzipFile("", "wb", 1, stream, 0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(stream)

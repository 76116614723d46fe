"""The table of folders that a dataset is converted to and from.

A format writes the files of one sample and reads them again. Where annotations are there, the labels of other programs
are these, and the truth stands beside them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...domains.labels import LabelMap
from ...errors import BundleError, InputError
from ...files.digest import sha256_of_bytes
from ...files.npz import npz_bytes, read_npz
from ...files.png import png_bytes
from ...store.format import STORED_MAX
from ..dicom.read_back import read_sample
from ..dicom.write import Subject, image_files, mask_file, write_sample
from ..sample_files import nifti_bytes, read_on_grid
from ..volume_files import THICKNESS_MM
from .nnunet_description import describe_nnunet
from .table import Header

_TOLERANCE = 1e-6  # of the intensity range


@dataclass(frozen=True)
class Sample:
    """One sample as a dataset stores it. part: "Tr" or "Ts", as nnU-Net divides cases."""

    name: str
    part: str
    image: NDArray[np.uint16]  # (C, *spatial)
    mask: LabelMap | None
    annotation: LabelMap | None

    @property
    def label_maps(self) -> dict[str, LabelMap]:
        """Labels for other programs, and the truth where that is another."""
        given = {"truth": self.mask, "labels": self.annotation} if self.annotation is not None else {
            "labels": self.mask}
        return {kind: labels for kind, labels in given.items() if labels is not None}


@dataclass(frozen=True)
class FolderFormat:
    """title: for people. axes: of the images that it holds. files: those of a sample, relative to the folder. write:
    them. read: them, as "image", "labels" and "truth"; raises InputError. describe: writes what the whole folder needs
    besides."""

    title: str
    axes: tuple[int, ...]
    files: Callable[[Header, str, str], Sequence[str]]
    write: Callable[[Path, Header, Sample], None]
    read: Callable[[Path, Header, str, str], Mapping[str, NDArray[Any]]]
    describe: Callable[[Path, Header, Sequence[str], Mapping[str, NDArray[Any]]], None] = lambda *_: None


@dataclass(frozen=True)
class FilePlaces:
    """Where the arrays of a sample are. images: with one channel; channels: with several."""

    ending: str
    images: str
    channels: str
    labels: str
    truth: str

    def images_of(self, header: Header, name: str, part: str) -> list[str]:
        pattern = self.images if header.channels == 1 else self.channels
        return [pattern.format(name=name, part=part, channel=f"{channel:04d}") + self.ending
                for channel in range(header.channels)]

    def label_maps_of(self, header: Header, name: str, part: str) -> dict[str, str]:
        kinds = {"labels": self.labels} if header.has_masks or header.has_annotations else {}
        kinds |= {"truth": self.truth} if header.has_annotations else {}
        return {kind: pattern.format(name=name, part=part) + self.ending for kind, pattern in kinds.items()}

    def files(self, header: Header, name: str, part: str) -> Sequence[str]:
        return [*self.images_of(header, name, part), *self.label_maps_of(header, name, part).values()]


@dataclass(frozen=True)
class Encoding:
    """Stored images and label maps to bytes, and stored images back from the array of a file."""

    image: Callable[[Header, NDArray[np.uint16]], bytes]
    labels: Callable[[Header, LabelMap], bytes]
    stored: Callable[[Header, NDArray[Any], Path], NDArray[np.uint16]]


def _write(places: FilePlaces, encoding: Encoding, folder: Path, header: Header, sample: Sample) -> None:
    for file, channel in zip(places.images_of(header, sample.name, sample.part), sample.image, strict=True):
        _save(folder / file, encoding.image(header, channel))
    files = places.label_maps_of(header, sample.name, sample.part)
    for kind, labels in sample.label_maps.items():
        _save(folder / files[kind], encoding.labels(header, labels))


def _save(file: Path, data: bytes) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)


def _read(places: FilePlaces, encoding: Encoding, folder: Path, header: Header, name: str, part: str
          ) -> dict[str, NDArray[Any]]:
    files = [folder / file for file in places.images_of(header, name, part)]
    channels = [encoding.stored(header, read_on_grid(file, header.shape, header.spacing_mm), file) for file in files]
    labels = {kind: read_on_grid(folder / file, header.shape, header.spacing_mm)
              for kind, file in places.label_maps_of(header, name, part).items()}
    return {"image": np.stack(channels), **labels}


def intensities(header: Header, stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    slope, low = header.rescale
    return (stored.astype(np.float64) * slope + low).astype(np.float32)


def _from_intensities(header: Header, values: NDArray[Any], file: Path) -> NDArray[np.uint16]:
    """Raises InputError for intensities that the dataset cannot store."""
    low, high = header.intensity_range
    least, most = (float(values.min()), float(values.max())) if values.dtype.kind in "iufb" else (np.nan, np.nan)
    room = _TOLERANCE * (high - low)
    if not (least >= low - room and most <= high + room):  # NaN fails too
        raise InputError(f"{file.name}: its intensities reach from {least:g} to {most:g}, expected {low:g} to {high:g}")
    scaled = np.rint((values.astype(np.float64) - low) * (STORED_MAX / (high - low)))
    return np.clip(scaled, 0, STORED_MAX).astype(np.uint16)


def _from_picture(header: Header, values: NDArray[Any], file: Path) -> NDArray[np.uint16]:
    if values.dtype != np.uint16:
        raise InputError(f"{file.name}: its pixels are {values.dtype}, expected 16 bits: uint16")
    return np.asarray(values, np.uint16)


def _nifti(thickness_mm: float) -> Encoding:
    return Encoding(lambda header, image: nifti_bytes(intensities(header, image), header.spacing_mm, thickness_mm),
                    lambda header, labels: nifti_bytes(labels, header.spacing_mm, thickness_mm), _from_intensities)


def _write_npz(folder: Path, header: Header, sample: Sample) -> None:
    arrays: dict[str, ArrayLike] = {"image": intensities(header, sample.image), **sample.label_maps,
                                    "spacing_mm": header.spacing_mm}
    (folder / f"{sample.name}.npz").write_bytes(npz_bytes(arrays))


def _read_npz(folder: Path, header: Header, name: str, part: str) -> dict[str, NDArray[Any]]:
    file = folder / f"{name}.npz"
    try:
        arrays = read_npz(file.read_bytes(), file.name)
    except BundleError as error:
        raise InputError(str(error).removesuffix(".")) from error
    expected = {"image": (header.channels, *header.shape), **dict.fromkeys(_kinds_of(header), header.shape)}
    for key, shape in expected.items():
        if key not in arrays or arrays[key].shape != shape:
            found = arrays[key].shape if key in arrays else "nothing"
            raise InputError(f"{file.name}: {key} has the shape {found}, expected {shape}")
    return {**arrays, "image": _from_intensities(header, arrays["image"], file)}


def _of_places(title: str, axes: tuple[int, ...], places: FilePlaces, encoding: Encoding, **more: Any) -> FolderFormat:
    return FolderFormat(title, axes, places.files, partial(_write, places, encoding), partial(_read, places, encoding),
                        **more)


def _dicom_files(header: Header, name: str, part: str) -> list[str]:
    return [*image_files(name, header.channels, header.shape), *(mask_file(name, kind) for kind in _kinds_of(header))]


def _kinds_of(header: Header) -> list[str]:
    """Which label maps a sample has."""
    return ["labels"] * (header.has_masks or header.has_annotations) + ["truth"] * header.has_annotations


def _is_synthetic(header: Header) -> bool | None:
    """Whether no patient was scanned; None where the dataset does not say."""
    nature = str(header.metadata.get("nature", ""))
    return True if "manifest_sha256" in header.metadata else {"phantom": True, "patients": False}.get(nature)


def _write_dicom(folder: Path, header: Header, sample: Sample) -> None:
    identity = json.dumps([header.domain, header.spacing_mm, header.shape, dict(header.metadata)], sort_keys=True)
    subject = Subject(sha256_of_bytes(identity.encode()), _is_synthetic(header), header.spacing_mm, header.rescale,
                      header.load_domain(folder.name).labels.names)
    write_sample(folder, subject, sample.name, sample.image, sample.label_maps)


def _read_dicom(folder: Path, header: Header, name: str, part: str) -> dict[str, NDArray[Any]]:
    return read_sample(folder, name, header.channels, header.shape, header.load_domain(folder.name).labels.names,
                       _kinds_of(header))


_PAIRS = ("images/{name}", "images/{name}_{channel}", "labels/{name}", "truth/{name}")
_PNG = Encoding(lambda header, image: png_bytes(image), lambda header, labels: png_bytes(labels), _from_picture)
FORMATS: Mapping[str, FolderFormat] = {
    "nnunet": _of_places(
        "nnU-Net raw", (2, 3),
        FilePlaces(".nii.gz", "images{part}/{name}_0000", "images{part}/{name}_{channel}", "labels{part}/{name}",
               "truth{part}/{name}"),
        _nifti(THICKNESS_MM), describe=describe_nnunet),
    "nifti": _of_places("NIfTI", (2, 3), FilePlaces(".nii.gz", *_PAIRS), _nifti(1.0)),
    "png": _of_places("PNG of 16 bits", (2,), FilePlaces(".png", *_PAIRS), _PNG),
    "dicom": FolderFormat("DICOM, MR images and SEG", (2, 3), _dicom_files, _write_dicom, _read_dicom),
    "npz": FolderFormat("npz of numpy", (2, 3), lambda header, name, part: [f"{name}.npz"], _write_npz, _read_npz),
}

"""Checks the contents of a dataset file, with shapes and types, before any column is read."""

from collections.abc import Set
from pathlib import Path

import h5py
import numpy as np

from ..errors import DatasetError, list_faults
from .format import COLUMNS, FORMAT, FORMAT_VERSION, SEGMENTATION_COLUMNS, Column

_SHORTEST_MM, _LONGEST_MM, _LARGEST_SCALE = 1e-3, 1e3, 1e30  # limits of valid images
_KINDS = {"u2": "u", "u1": "u", "u4": "u", "f2": "f", "f4": "f", "i8": "iu", "i4": "iu"}


def as_text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def check_header(file: h5py.File, path: Path) -> None:
    name = file.attrs.get("format")
    if name is None or as_text(name) != FORMAT:
        raise DatasetError(f"{path}: root attribute format is {name!r}, expected {FORMAT!r}. This is not a dataset of "
                           "ours; make one with cldm prepare or cldm-gen.")
    version = file.attrs.get("format_version")
    if not isinstance(version, np.integer) or version < 1:
        raise DatasetError(f"{path}: root attribute format_version is {version!r}, expected a positive integer.")
    if version > FORMAT_VERSION:
        raise DatasetError(f"{path}: format_version {version} found, {FORMAT_VERSION} supported. Install a newer "
                           "cldm-runtime.")
    if not file.attrs.get("complete", False):
        raise DatasetError(f"{path}: the file is not complete; its writer was stopped. Make it again.")
    if "domain" not in file.attrs:
        raise DatasetError(f"{path}: root attribute domain is missing, for example \"lge\".")


def check_columns(file: h5py.File, path: Path, without: Set[str] = frozenset()) -> None:
    if not isinstance(file.get("images"), h5py.Dataset) or file["images"].ndim < 4:
        raise DatasetError(f"{path}: /images is missing or not (N, C, *spatial).")
    images = file["images"]
    faults = [*_image_attribute_faults(images), *_column_faults(file, COLUMNS, images, without)]
    for name in set(file.get("segmentations", ())) - {other.removeprefix("segmentations/") for other in without}:
        group = file["segmentations"][name]
        if isinstance(group, h5py.Group):
            faults += _column_faults(group, SEGMENTATION_COLUMNS, images, without)
        else:
            faults.append(f"/segmentations/{name} is not a group")
    if faults:
        raise DatasetError(list_faults(f"{path}: is not a valid {FORMAT} file:", faults))


def _image_attribute_faults(images: h5py.Dataset) -> list[str]:
    faults = []
    for name, count in (("rescale_slope", 1), ("rescale_intercept", 1), ("spacing_mm", images.ndim - 2)):
        stored = images.attrs.get(name, "missing")
        value = np.asarray(stored)
        low, high = (_SHORTEST_MM, _LONGEST_MM) if name == "spacing_mm" else (-_LARGEST_SCALE, _LARGEST_SCALE)
        valid = value.dtype.kind in "iuf" and bool(((value >= low) & (value <= high)).all())  # NaN is not
        if not valid or value.shape != ((count,) if name == "spacing_mm" else ()):
            faults.append(f"/images: attribute {name} is {stored}, expected {count} number(s) from {low:g} to {high:g}")
    return faults


def _column_faults(group: h5py.Group, columns: dict[str, Column], images: h5py.Dataset, without: Set[str]
                   ) -> list[str]:
    faults = []
    for column in columns.values():
        if column.path not in group or f"{group.name.rstrip('/')}/{column.path}"[1:] in without:
            continue
        item, where = group[column.path], f"{group.name.rstrip('/')}/{column.path}"
        if not isinstance(item, h5py.Dataset):
            faults.append(f"{where} is not a dataset")
            continue
        if item.dtype.kind not in _KINDS.get(column.dtype, "S") or (column.dtype == "u1" and item.dtype.itemsize != 1):
            faults.append(f"{where} has type {item.dtype}, expected {np.dtype(column.dtype)}")
        expected = {"image": images.shape, "mask": (images.shape[0], *images.shape[2:]),
                    "region": (images.shape[0], *images.shape[2:]), "": images.shape[:1]}
        expected["channels"] = expected["maps"] = (images.shape[0], *item.shape[1:2], *images.shape[2:])
        if item.shape != expected.get(column.trailing, (images.shape[0], *item.shape[1:])):
            faults.append(f"{where} has shape {item.shape}, which does not fit /images {images.shape}")
        elif column.trailing in ("attributes", "imaging", "place", "scores"):
            names = np.asarray(item.attrs.get("names", []))
            if item.ndim != 2 or (not column.path.endswith("reasons") and names.shape != item.shape[1:]):
                faults.append(f"{where} has shape {item.shape} and {names.size} names, expected (N, one for each name)")
        elif column.trailing == "channels" and np.asarray(item.attrs.get("names", [])).shape != item.shape[1:2]:
            faults.append(f"{where} has shape {item.shape}, expected (N, one for each name, *spatial)")
    return faults

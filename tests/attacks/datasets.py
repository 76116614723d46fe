"""Attacks on HDF5 datasets. The sound file is a cohort of three slices with label maps and attributes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .corpus import ATTACKS, Maker

HUGE = 2**40


def spoilt(change: Callable[[h5py.File], Any], libver: str | None = None) -> Maker:
    def maker(folder: Path) -> Path:
        with h5py.File(folder / "sound.h5", "r+", libver=libver) as file:
            change(file)
        return folder / "sound.h5"

    return maker


def bytes_of(change: Callable[[bytearray], Any]) -> Maker:
    def maker(folder: Path) -> Path:
        data = bytearray((folder / "sound.h5").read_bytes())
        change(data)
        (folder / "sound.h5").write_bytes(data)
        return folder / "sound.h5"

    return maker


def put(file: h5py.File, name: str, *arguments: Any, attributes: bool = False, **options: Any) -> None:
    """Replace a dataset; with the attributes of the one that was there, if asked for."""
    kept = dict(file[name].attrs) if attributes else {}
    if name in file:
        del file[name]
    file.create_dataset(name, *arguments, **options)
    file[name].attrs.update(kept)


def put_link(file: h5py.File, link: object) -> None:
    del file["patients"]
    file["patients"] = link


def never_written(name: str, shape: tuple[int, ...], dtype: str, **options: Any) -> Maker:
    return spoilt(lambda f: put(f, name, shape, dtype, attributes=name in f, **options))


def set_attribute(name: str, value: Any, where: str = "/") -> Maker:
    return spoilt(lambda f: f[where].attrs.__setitem__(name, value))


def huge_attribute(file: h5py.File) -> None:
    file.attrs["note"] = np.zeros(2**25, np.uint8)


def many_objects(file: h5py.File) -> None:
    for number in range(3000):
        file.create_group(f"group{number}")


def many_attributes(file: h5py.File) -> None:
    for number in range(3000):
        file["masks"].attrs[f"a{number}"] = 1


def cycle(file: h5py.File) -> None:
    group = file.create_group("a")
    group["b"] = group


def doubling(file: h5py.File) -> None:
    """Ten paths to a group that has ten paths to a group, and so on: the file is small, its paths are not."""
    group = file.create_group("x")
    for level in range(6):
        parent = file.create_group(f"level{level}")
        for number in range(10):
            parent[str(number)] = group
        group = parent


def looping_heap(data: bytearray) -> None:
    """The free space at the end of the heap of texts, an object of index 0, states the size 0."""
    place = data.index(b"GCOL\x01") + 16
    while int.from_bytes(data[place:place + 2], "little"):
        place += 16 + (int.from_bytes(data[place + 8:place + 16], "little") + 7) // 8 * 8
    data[place + 8:place + 16] = bytes(8)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "i4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3,))
    file.create_virtual_dataset("condition", layout)


def plugin_filter(file: h5py.File) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((3,))
    properties.set_filter(h5py.h5z.FILTER_SCALEOFFSET, h5py.h5z.FLAG_OPTIONAL, (2, 0))
    h5py.h5d.create(file.id, b"condition", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((3,)), properties)


ATTACKS["dataset"] = {
    "an_external_link": spoilt(lambda f: put_link(f, h5py.ExternalLink("/etc/passwd", "/x"))),
    "a_soft_link_to_itself": spoilt(lambda f: put_link(f, h5py.SoftLink("/patients"))),
    "a_hard_link_cycle": spoilt(cycle),
    "paths_that_double": spoilt(doubling),
    "external_storage": spoilt(lambda f: put(f, "slices", (3,), "i4", external=[("/etc/passwd", 0, 12)])),
    "a_virtual_dataset": spoilt(virtual),
    "a_filter_of_a_plugin": spoilt(lambda f: put(f, "slices", data=np.zeros(3, "i4"), compression="lzf")),
    "scale_and_offset": spoilt(plugin_filter),
    "objects_without_end": spoilt(many_objects),
    "deep_groups": spoilt(lambda f: f.create_group("a/b/c/d/e/f/g")),
    "attributes_without_end": spoilt(many_attributes, "latest"),
    "a_huge_attribute": spoilt(huge_attribute, "latest"),
    "an_attribute_that_refers": spoilt(lambda f: f.attrs.__setitem__("r", f["masks"].ref)),
    "an_attribute_of_records": set_attribute("r", np.zeros(3, [("a", "i4"), ("b", "f8")])),
    "a_region_reference": spoilt(lambda f: f.attrs.__setitem__("r", f["masks"].regionref[:1])),
    "references": spoilt(lambda f: put(f, "slices", data=np.array([f["masks"].ref] * 3, h5py.ref_dtype))),
    "variable_length_text": spoilt(lambda f: put(f, "patients", data=["x"] * 3, dtype=h5py.string_dtype())),
    "variable_length_numbers": spoilt(lambda f: put(f, "slices", (3,), h5py.vlen_dtype("i4"))),
    "records": spoilt(lambda f: put(f, "slices", data=np.zeros(3, [("a", "i4")]))),
    "images_of_petabytes": never_written("images", (3, 1, HUGE, HUGE), "u2", chunks=(1, 1, 16, 16)),
    "rows_without_end": never_written("images", (2**31, 1, 128, 128), "u2", chunks=(1, 1, 128, 128)),
    "more_rows_than_there_are": never_written("images", (2**50, 1, 128, 128), "u2", chunks=(1, 1, 128, 128)),
    "attributes_of_gigabytes": never_written("attributes/requested", (3, 2**29), "f4", chunks=(1, 1024)),
    "a_column_that_unpacks_to_too_much": spoilt(lambda f: put(
        f, "attributes/requested", shape=(3, 2**26), dtype="f4", chunks=(1, 2**20), compression="gzip")),
    "chunks_of_gigabytes": never_written("slices", (3,), "i4", chunks=(2**28,), maxshape=(None,)),
    "scalar_images": spoilt(lambda f: put(f, "images", data=1, attributes=True)),
    "images_of_nothing": spoilt(lambda f: put(f, "images", data=h5py.Empty("u2"), attributes=True)),
    "images_that_are_a_group": spoilt(lambda f: (f.pop("images"), f.create_group("images"))),
    "a_type_for_images": spoilt(lambda f: (f.pop("images"), f.__setitem__("images", np.dtype("u2")))),
    "wide_label_maps": spoilt(lambda f: put(f, "masks", data=np.full((3, 128, 128), 259, "u8"), attributes=True)),
    "label_maps_of_fractions": spoilt(lambda f: put(f, "masks", data=np.zeros((3, 128, 128)), attributes=True)),
    "segmentations_that_are_no_group": spoilt(lambda f: f.__setitem__("segmentations", [1])),
    "a_segmentation_that_is_no_group": spoilt(lambda f: f.__setitem__("segmentations/x", [1])),
    "names_that_are_numbers": spoilt(lambda f: f["attributes/mask"].attrs.__setitem__("names", np.zeros((2, 2)))),
    "text_that_is_not_utf8": spoilt(lambda f: put(f, "patients", data=np.array([b"\xff\xfe"] * 3, "S32"))),
    "a_domain_that_is_not_utf8": set_attribute("domain", np.bytes_(b"\xff\xfe")),
    "a_format_of_megabytes": set_attribute("format", "x" * 60_000),
    "a_version_that_is_text": set_attribute("format_version", "1"),
    "a_version_that_is_an_array": set_attribute("format_version", np.arange(3)),
    "a_newer_version": set_attribute("format_version", np.int64(2**62)),
    "completeness_that_is_an_array": set_attribute("complete", np.ones(3)),
    "a_spacing_of_nothing": set_attribute("spacing_mm", np.zeros(2), "images"),
    "a_spacing_beyond_all_bounds": set_attribute("spacing_mm", np.array([1e300, 1.0]), "images"),
    "a_slope_that_overflows": set_attribute("rescale_slope", 1e308, "images"),
    "a_slope_that_is_not_a_number": set_attribute("rescale_slope", np.nan, "images"),
    "a_truncated_file": bytes_of(lambda data: data.__delitem__(slice(3000, None))),
    "half_a_file": bytes_of(lambda data: data.__delitem__(slice(len(data) // 2, None))),
    "a_header_of_ones": bytes_of(lambda data: data.__setitem__(slice(8, 96), b"\xff" * 88)),
    "a_heap_of_text_without_end": bytes_of(looping_heap),
    "no_hdf5": bytes_of(lambda data: data.__setitem__(slice(0, 8), b"GIF89a  ")),
    "nothing": bytes_of(lambda data: data.clear()),
    "a_folder": lambda folder: folder,
    "a_link_to_nothing": lambda folder: (os.symlink("/nowhere", folder / "link.h5"), folder / "link.h5")[1],
}

"""Attacks on nnU-Net raw folders and on the volumes in them. The sound folder holds one patient."""

import gzip
import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .corpus import each, edit_json, hole, pipe

IMAGE, LABEL = Path("imagesTr/anna_0000.nii.gz"), Path("labelsTr/anna.nii.gz")
# Fields of the NIfTI-1 header (nifti1.h): name -> offset, type
FIELDS = {"dim": (40, "<8h"), "datatype": (70, "<h"), "bitpix": (72, "<h"), "pixdim": (76, "<8f"),
          "vox_offset": (108, "<f"), "scl_slope": (112, "<f"), "scl_inter": (116, "<f")}


def unpacked(change: Callable[[bytearray], Any], file: Path = IMAGE) -> Callable[[Path], None]:
    """Change the bytes of a volume, and pack them again."""
    def spoil(folder: Path) -> None:
        data = bytearray(gzip.decompress((folder / file).read_bytes()))
        change(data)
        (folder / file).write_bytes(gzip.compress(bytes(data), 1))

    return spoil


def header(file: Path = IMAGE, **values: Any) -> Callable[[Path], None]:
    def change(data: bytearray) -> None:
        for name, value in values.items():
            offset, form = FIELDS[name]
            struct.pack_into(form, data, offset, *(value if isinstance(value, tuple) else (value,)))

    return unpacked(change, file)


def voxels(value: float, file: Path = IMAGE, datatype: int = 64) -> Callable[[Path], None]:
    """All voxels one float64."""
    def change(data: bytearray) -> None:
        count = int(np.prod(struct.unpack_from("<3h", data, 42)))
        struct.pack_into("<hh", data, 70, datatype, 64)
        data[352:] = struct.pack("<d", value) * count

    return unpacked(change, file)


def bomb(folder: Path) -> None:
    """Four gigabytes of zeros in four megabytes."""
    head = bytearray(gzip.decompress((folder / IMAGE).read_bytes())[:352])
    struct.pack_into("<8h", head, 40, 3, 2048, 2048, 1024, 1, 1, 1, 1)
    with gzip.open(folder / IMAGE, "wb", 1) as stream:
        stream.write(bytes(head) + bytes(2**24))


def file_of(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content if isinstance(content, bytes) else content.encode()
    return lambda folder: (folder / name).write_bytes(data)


def described(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / "dataset.json", lambda value: value.update(values))


def meta_image(head: str) -> Callable[[Path], None]:
    """The image and its label map as MetaImage with that header."""
    def spoil(folder: Path) -> None:
        described(file_ending=".mha")(folder)
        text = f"ObjectType = Image\nNDims = 3\n{head}\n".encode()
        (folder / "imagesTr/anna_0000.mha").write_bytes(text + bytes(64))
        (folder / "labelsTr/anna.mha").write_bytes(text + bytes(64))

    return spoil


def linked_image(folder: Path) -> None:
    (folder / IMAGE).unlink()
    os.symlink("/dev/zero", folder / IMAGE)


each(
    "prepare",
    a_truncated_volume=lambda folder: os.truncate(folder / IMAGE, 500),
    a_volume_that_is_none=file_of(str(IMAGE), b"\x1f\x8b" + bytes(100)),
    a_volume_of_text=file_of(str(IMAGE), "hello"),
    an_empty_volume=file_of(str(IMAGE), b""),
    a_bomb=bomb,
    more_voxels_than_there_are=header(dim=(3, 400, 400, 400, 1, 1, 1, 1)),
    petabytes_of_voxels=header(dim=(3, 32767, 32767, 32767, 1, 1, 1, 1)),
    a_negative_size=header(dim=(3, -5, 48, 48, 1, 1, 1, 1)),
    seven_axes=header(dim=(7, 2, 2, 2, 2, 2, 2, 2)),
    no_axes=header(dim=(0, 0, 0, 0, 0, 0, 0, 0)),
    an_unknown_type=header(datatype=12345),
    complex_voxels=header(datatype=32, bitpix=64, dim=(3, 12, 48, 5, 1, 1, 1, 1)),
    coloured_voxels=header(datatype=128, bitpix=24, dim=(3, 16, 48, 5, 1, 1, 1, 1)),
    no_spacing=header(pixdim=(1.0, *[0.0] * 7)),
    a_spacing_that_is_not_a_number=header(pixdim=(1.0, *[float("nan")] * 7)),
    a_spacing_that_blurs_without_end=lambda folder: [header(file, pixdim=(1.0, *[1e-6] * 7))(folder) for file in (
        IMAGE, LABEL)],
    voxels_that_begin_far_away=header(vox_offset=1e9),
    voxels_that_begin_nowhere=header(vox_offset=float("nan")),
    a_scale_that_overflows=header(scl_slope=3e38, scl_inter=3e38),
    voxels_that_are_not_numbers=voxels(float("nan")),
    labels_beyond_all_bounds=voxels(1e300, LABEL),
    labels_between_numbers=voxels(0.5, LABEL),
    a_pipe_for_a_volume=lambda folder: pipe(folder / IMAGE),
    a_volume_linked_to_a_device=linked_image,
    deep_nesting=file_of("dataset.json", "[" * 1_000_000),
    a_description_of_a_terabyte=lambda folder: hole(folder / "dataset.json"),
    a_description_that_is_a_pipe=lambda folder: pipe(folder / "dataset.json"),
    a_description_that_is_not_utf8=file_of("dataset.json", b'{"labels": "\xff"}'),
    a_description_that_is_a_list=file_of("dataset.json", "[]"),
    labels_that_are_text=described(labels={"background": 0, "cavity": "../1"}),
    labels_that_are_huge=described(labels={"background": 0, "cavity": 10**300, "infarct": [{}]}),
    an_ending_that_leads_out=described(file_ending="/../../../*"),
    files_that_lead_out=described(dataset={"anna": {"images": ["/etc/passwd"], "label": "../../etc/passwd"}}),
    files_that_are_no_files=described(dataset={"anna": {"images": [1], "label": None}}),
    files_of_long_names=described(dataset={"anna": {"images": ["x" * 5000], "label": "\ud800"}}),
    files_with_a_nul=described(dataset={"anna": {"images": ["a\0"], "label": "b"}}),
    folds_that_are_none=file_of("splits_final.json", '[{"train": 1}]'),
    folds_of_lists=file_of("splits_final.json", '[{"train": [[]], "val": []}]'),
    subsets_that_are_numbers=file_of("subsets.json", '{"train": [{}]}'),
    a_subset_of_half_a_character=file_of("subsets.json", '{"\\ud800": ["anna"]}'),
    a_subset_of_many_letters=file_of("subsets.json", json.dumps({"x" * 1000: ["anna"]})),
    patients_that_are_a_list=file_of("patients.json", "[1]"),
    voxels_in_another_file=meta_image("DimSize = 4 4 4\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd"),
    petabytes_of_other_voxels=meta_image(f"DimSize = {2**20} {2**20} {2**10}\nElementType = MET_UCHAR\n"
                                         "ElementDataFile = LOCAL"),
)

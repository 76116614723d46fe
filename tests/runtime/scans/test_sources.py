"""One way to read a file, a series, and what was drawn on it."""

from pathlib import Path

import numpy as np

import dicom_fixtures as write
from cldm_runtime.scans.dicom.files import read_header
from cldm_runtime.scans.dicom.frames import frames_of
from cldm_runtime.scans.dicom.masks import DicomMask
from cldm_runtime.scans.dicom.stacks import stacks_of
from cldm_runtime.scans.nnunet_raw import write_nifti
from cldm_runtime.scans.sources import files_of, read_array, read_geometry

VOXELS = np.arange(2 * 6 * 7, dtype=np.uint16).reshape(2, 6, 7)


def test_every_source_has_files_a_grid_and_an_array(tmp_path: Path) -> None:
    write_nifti(tmp_path / "a.nii.gz", VOXELS, (8.0, 1.5, 1.25))
    files = write.save(tmp_path, *(images := write.series(VOXELS)))
    drawn = tuple(write.save(tmp_path, write.segmentation(images, VOXELS > 9, names={1: "scar"}), stem="SEG"))
    (group,) = stacks_of([frame for file in files for frame in frames_of(file, read_header(file))])
    sources = {tmp_path / "a.nii.gz": VOXELS, group.stack: VOXELS,
               DicomMask(drawn, group.stack, (("scar", 3),)): 3 * (VOXELS > 9)}
    for source, expected in sources.items():
        array, spacing, _ = read_array(source)
        assert np.array_equal(array, expected) and np.allclose(spacing, (8, 1.5, 1.25))
        assert read_geometry(source).shape == (2, 6, 7)
    assert [len(files_of(source)) for source in sources] == [1, 2, 1]

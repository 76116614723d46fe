"""RT Structure Sets: contours in the planes of images, with holes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.contours import contour_names, contour_regions
from cldm_runtime.scans.dicom.files import read_header
from cldm_runtime.scans.dicom.frames import frames_of
from cldm_runtime.scans.dicom.stacks import DicomStack, stacks_of

OUTER = [(0.5, 0.5), (0.5, 8.5), (7.5, 8.5), (7.5, 0.5)]
INNER = [(2.5, 2.5), (2.5, 5.5), (5.5, 5.5), (5.5, 2.5)]


def images_and_stack(folder: Path) -> tuple[list[write.Dataset], DicomStack]:
    images = write.series(np.zeros((3, 9, 10), np.uint16))
    files = write.save(folder, *images)
    (group,) = stacks_of([frame for file in files for frame in frames_of(file, read_header(file))])
    return images, group.stack


def regions_of(folder: Path, stack: DicomStack, data: write.Dataset) -> dict[str, np.ndarray]:
    (file,) = write.save(folder, data, stem="RT")
    return contour_regions(file, read_header(file), stack)


def test_a_contour_within_another_is_a_hole_in_its_plane(tmp_path: Path) -> None:
    images, stack = images_and_stack(tmp_path)
    found = regions_of(tmp_path, stack, write.contours(images, {"Myo": {0: [OUTER, INNER], 2: [OUTER]},
                                                                "LV": {2: [INNER]}}))
    assert {name: region.sum(axis=(1, 2)).tolist() for name, region in found.items()} == {
        "myo": [7 * 8 - 3 * 3, 0, 7 * 8], "lv": [0, 0, 9]}
    assert np.argwhere(found["lv"][2]).tolist() == [[y, x] for y in (3, 4, 5) for x in (3, 4, 5)]


def test_points_and_open_curves_are_no_regions(tmp_path: Path) -> None:
    images, _ = images_and_stack(tmp_path)
    assert contour_names(write.contours(images, {"insertion": {0: [OUTER[:1]]}}, closed="POINT")) == {}
    assert contour_names(write.contours(images, {"Epi": {0: [OUTER]}})) == {1: "epi"}


@pytest.mark.parametrize(("corners", "message"), [
    (3.5, "between two slices of its images, 0.43[78] slices from the first"),
    (-80.0, "lies -10 slices from the first of its images, which are 3")])
def test_contours_between_slices_are_refused(tmp_path: Path, corners: float, message: str) -> None:
    images, stack = images_and_stack(tmp_path)
    data, normal = write.contours(images, {"Epi": {0: [OUTER]}}), np.cross(write.SHORT_AXIS[:3], write.SHORT_AXIS[3:])
    contour: Any = data.ROIContourSequence[0].ContourSequence[0]
    moved = np.reshape(contour.ContourData, (-1, 3)).astype(float) + corners * normal
    contour.ContourData = [f"{value:.6g}" for value in moved.ravel()]
    with pytest.raises(InputError, match=message):
        regions_of(tmp_path, stack, data)


def test_a_tilted_contour_and_half_a_corner_are_refused(tmp_path: Path) -> None:
    images, stack = images_and_stack(tmp_path)
    data = write.contours(images, {"Epi": {0: [OUTER]}})
    contour: Any = data.ROIContourSequence[0].ContourSequence[0]
    whole = list(contour.ContourData)
    contour.ContourData = whole[:-1]
    with pytest.raises(InputError, match="a contour of 11 numbers, expected three for each corner"):
        regions_of(tmp_path, stack, data)
    contour.ContourData = [*whole[:3], *np.array(images[1].ImagePositionPatient), *whole[6:]]
    with pytest.raises(InputError, match="between two slices"):
        regions_of(tmp_path, stack, data)

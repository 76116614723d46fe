"""SEG of every kind, as highdicom writes and reads it, on the grid of its images."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.files import read_header
from cldm_runtime.scans.dicom.frames import frames_of
from cldm_runtime.scans.dicom.segments import plain_name, segment_regions
from cldm_runtime.scans.dicom.stacks import DicomStack, stacks_of

MAPS = np.random.default_rng(1).integers(0, 5, (4, 6, 7)).astype(np.uint8)
MAPS[1] = 0  # a slice without a label, whose frames are left out
VALUES = {"lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3, "mvo": 4}


def images_and_stack(folder: Path, **more: Any) -> tuple[list[write.Dataset], DicomStack]:
    images = write.series(np.zeros((4, 6, 7), np.uint16), **more)
    files = write.save(folder, *images)
    (group,) = stacks_of([frame for file in files for frame in frames_of(file, read_header(file))])
    return images, group.stack


def regions_of(folder: Path, stack: DicomStack, data: write.Dataset) -> dict[str, np.ndarray]:
    (file,) = write.save(folder, data, stem="SEG")
    return segment_regions(file, read_header(file), stack)


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_every_kind_as_highdicom_reads_it(tmp_path: Path, kind: str) -> None:
    images, stack = images_and_stack(tmp_path)
    found = regions_of(tmp_path, stack, write.segmentation(images[::-1], MAPS[::-1], kind))
    theirs = write.highdicom.seg.segread(tmp_path / "SEG000.dcm").get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in images], ignore_spatial_locations=True, assert_missing_frames_are_empty=True)
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        assert np.array_equal(found[name], value == MAPS) and np.array_equal(found[name], theirs[..., value - 1] == 1)


def test_a_fraction_counts_from_one_half_on(tmp_path: Path) -> None:
    images, stack = images_and_stack(tmp_path)
    shares = np.linspace(0, 1, 4 * 6 * 7).reshape(4, 6, 7)
    data = write.segmentation(images, shares, "FRACTIONAL", {1: "scar"}, max_fractional_value=200)
    assert np.array_equal(regions_of(tmp_path, stack, data)["scar"], shares >= 0.5)


def test_overlapping_segments_stay_whole(tmp_path: Path) -> None:
    images, stack = images_and_stack(tmp_path)
    planes = np.stack([MAPS > 1, MAPS > 2], -1)
    found = regions_of(tmp_path, stack, write.segmentation(images, planes, names={1: "wall", 2: "Scar 1"}))
    assert np.array_equal(found["wall"], MAPS > 1) and np.array_equal(found["scar_1"], MAPS > 2)


def test_a_file_of_pydicom() -> None:
    """Its frame lies in the liver of a scan that is not there: it is read on its own plane."""
    file = Path(write.pydicom.data.get_testdata_file("liver_1frame.dcm", download=False))
    header = read_header(file)
    header.PerFrameFunctionalGroupsSequence = header.PerFrameFunctionalGroupsSequence[:1]  # it was cut to one frame
    (group,) = stacks_of(frames_of(file, header))
    found = segment_regions(file, header, group.stack)
    assert list(found) == ["liver"] and np.array_equal(found["liver"][0], write.pydicom.dcmread(file).pixel_array == 1)


def test_another_grid_in_the_same_planes(tmp_path: Path) -> None:
    """Rows that run backwards, in pixels of half the size: every second one is that of the image."""
    images, stack = images_and_stack(tmp_path)
    fine = [image.copy() for image in images]
    for image in fine:
        columns = np.array(image.ImageOrientationPatient[3:])
        image.ImagePositionPatient = list(np.array(image.ImagePositionPatient) + columns * 1.5 * 5)
        image.ImageOrientationPatient = [*image.ImageOrientationPatient[:3], *-columns]
        image.PixelSpacing, image.Rows, image.Columns = [0.75, 0.625], 11, 13
    drawn = np.zeros((4, 11, 13), np.uint8)
    drawn[:, ::2, ::2] = (MAPS == 3)[:, ::-1]
    drawn[:, 1::2] = 1
    found = regions_of(tmp_path, stack, write.segmentation(fine, drawn, names={1: "scar"}))
    assert np.array_equal(found["scar"], MAPS == 3)


@pytest.mark.parametrize(("shift", "orientation", "message"), [
    (4.0, write.STRAIGHT, r"between two slices of its images, [0-3].500 slices from the first"),
    (-16.0, write.STRAIGHT, r"lies -[12] slices from the first of its images, which are 4. Export the whole series"),
    (0.0, (1, 0, 0, 0, 0, 1), "lies across the slices of its images")])
def test_what_lies_elsewhere_is_refused(tmp_path: Path, shift: float, orientation: tuple[float, ...], message: str
                                        ) -> None:
    _, stack = images_and_stack(tmp_path, orientation=write.STRAIGHT)
    moved = write.series(np.zeros((4, 6, 7), np.uint16), orientation=orientation, origin=(10, -20, 30 + shift))
    with pytest.raises(InputError, match=message):
        regions_of(tmp_path, stack, write.segmentation(moved, np.ones((4, 6, 7), np.uint8), names={1: "scar"}))


def test_beside_the_image_and_with_other_distances(tmp_path: Path) -> None:
    _, stack = images_and_stack(tmp_path, orientation=write.STRAIGHT)
    beside = write.series(np.zeros((4, 6, 7), np.uint16), orientation=write.STRAIGHT, origin=(90, -20, 30))
    with pytest.raises(InputError, match="what is drawn lies beside its images"):
        regions_of(tmp_path, stack, write.segmentation(beside, np.ones((4, 6, 7), np.uint8), names={1: "scar"}))
    coarse = write.series(np.zeros((2, 6, 7), np.uint16), orientation=write.STRAIGHT, spacing=(16, 1.5, 1.25))
    with pytest.raises(InputError, match="its slices lie 16 mm apart, those of its images 8"):
        regions_of(tmp_path, stack, write.segmentation(coarse, np.ones((2, 6, 7), np.uint8), names={1: "scar"}))


def test_names_are_plain() -> None:
    assert [plain_name(text) for text in ("LV Cavity", " Scar (5SD) ", "!?")] == ["lv_cavity", "scar_5sd", "unnamed"]

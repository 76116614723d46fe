"""Series as volumes, against ITK's reader; what is no volume is named."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.files import read_header
from cldm_runtime.scans.dicom.frames import frames_of
from cldm_runtime.scans.dicom.stacks import DicomStack, StackOrFault, read_stack, stack_geometry, stacks_of

VOXELS = np.random.default_rng(0).integers(0, 4000, (5, 6, 7)).astype(np.int16) - 1000


def groups_in(folder: Path) -> list[StackOrFault]:
    return stacks_of([frame for file in sorted(folder.glob("*.dcm")) for frame in frames_of(file, read_header(file))])


def only_stack(folder: Path) -> DicomStack:
    (group,) = groups_in(folder)
    assert group.stack is not None, group.fault
    return group.stack


def fault_of(folder: Path) -> str:
    (group,) = groups_in(folder)
    assert group.stack is None
    return group.fault


@pytest.mark.parametrize("orientation", [write.STRAIGHT, write.SHORT_AXIS])
def test_single_frames_as_itk_reads_them(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    """Files in no order of space; slices have gaps, so that Slice Thickness (5 mm) is not their distance (8 mm)."""
    images = write.series(VOXELS, orientation=orientation, RescaleSlope=0.5, RescaleIntercept=-3)
    write.save(tmp_path, *[images[number] for number in (3, 0, 4, 2, 1)])
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    expected = reader.Execute()
    voxels, spacing, affine = read_stack(only_stack(tmp_path))
    assert np.array_equal(voxels, SimpleITK.GetArrayFromImage(expected)) and voxels.dtype == np.float32
    assert np.array_equal(voxels, VOXELS * 0.5 - 3)
    assert spacing == pytest.approx(expected.GetSpacing()[::-1]) == (8.0, 1.5, 1.25)
    SimpleITK.WriteImage(expected, tmp_path / "itk.nii")
    assert np.allclose(affine, nibabel.load(tmp_path / "itk.nii").affine, atol=1e-4)
    directions = np.reshape(expected.GetDirection(), (3, 3)) * np.array([-1, -1, 1])[:, None]
    assert np.allclose(stack_geometry(only_stack(tmp_path)).directions, directions.T[::-1], atol=1e-6)


def test_enhanced_frames_have_a_rescaling_each(tmp_path: Path) -> None:
    images = write.series(VOXELS)
    for number, image in enumerate(images):
        image.RescaleSlope, image.RescaleIntercept = number + 1, -number
    write.save(tmp_path / "single", *images)
    write.save(tmp_path / "enhanced", write.enhanced(images[::-1]))
    single, enhanced = only_stack(tmp_path / "single"), only_stack(tmp_path / "enhanced")
    assert enhanced.same_grid(single) and [frame.number for frame in enhanced.frames] == [4, 3, 2, 1, 0]
    steps = np.arange(5)[:, None, None]
    assert np.array_equal(read_stack(enhanced)[0], VOXELS * (steps + 1.0) - steps)
    assert np.array_equal(read_stack(single)[0], read_stack(enhanced)[0])


@pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_RLE.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm",
                                  "MR_small_jpeg_ls_lossless.dcm", "CT_small.dcm"])
def test_files_of_pydicom_in_every_syntax(name: str) -> None:
    file = Path(write.pydicom.data.get_testdata_file(name, download=False))
    (group,) = stacks_of(frames_of(file, read_header(file)))
    voxels, spacing, _ = read_stack(group.stack)
    itk = SimpleITK.ReadImage(file)
    assert np.array_equal(voxels, SimpleITK.GetArrayFromImage(itk)) and spacing[1:] == itk.GetSpacing()[1::-1]
    assert spacing[0] == {"M": 0.8, "C": 5.0}[name[0]]  # SpacingBetweenSlices, else SliceThickness


def test_a_series_of_pydicom_and_its_gap(tmp_path: Path) -> None:
    folder = Path(write.pydicom.data.get_testdata_file("DICOMDIR", download=False)).parent / "98892001" / "CT5N"
    frames = [frame for file in folder.iterdir() for frame in frames_of(file, read_header(file))]
    (group,) = stacks_of(frames)
    assert group.stack is not None and group.stack.shape == (5, 16, 16)
    without = [frame for frame in frames if frame != group.stack.frames[2]]
    fault = stacks_of(without)[0].fault
    assert "there is a gap from" in fault and "1 slice(s) are missing" in fault


def test_magnitude_and_psir_in_one_series_are_two_stacks(tmp_path: Path) -> None:
    magnitude = write.series(VOXELS, ImageType=["ORIGINAL", "PRIMARY", "M", "MAG"])
    psir = write.series(VOXELS, "b", ImageType=["ORIGINAL", "PRIMARY", "M", "PSIR"])
    write.save(tmp_path / "single", *magnitude, *psir)
    assert [group.stack.kind for group in groups_in(tmp_path / "single")] == ["magnitude", "psir"]
    frames = ["MAGNITUDE"] * 5 + ["PHASE"] * 5
    write.save(tmp_path / "enhanced", write.enhanced(write.series(VOXELS) * 2, frames))
    assert [group.stack.kind for group in groups_in(tmp_path / "enhanced")] == ["magnitude", "phase"]


def test_two_phases_at_one_place_are_named(tmp_path: Path) -> None:
    images = [*write.series(VOXELS[:2], TriggerTime=100.0), *write.series(VOXELS[:2], "b", TriggerTime=600.0)]
    write.save(tmp_path, *images)
    assert fault_of(tmp_path) == (
        "4 images lie at 2 places; IM000.dcm and IM002.dcm lie at one place and differ in TriggerTime. Keep one image "
        "of each place: move the other phase, echo or reconstruction out of the folder")
    write.save(tmp_path / "same", *write.series(VOXELS[:2]), *write.series(VOXELS[:2], "b"))
    assert "lie at one place and do not say how they differ" in fault_of(tmp_path / "same")


def test_gaps_and_shifts_are_named(tmp_path: Path) -> None:
    images = write.series(np.concatenate([VOXELS, VOXELS]))
    write.save(tmp_path / "gap", *images[:4], *images[6:])
    assert "8 mm apart, but there is a gap from 24 to 48 mm (from the first slice): 2 slice(s) are missing" in fault_of(
        tmp_path / "gap")
    for number, image in enumerate(uneven := write.series(VOXELS, orientation=write.STRAIGHT)):
        image.ImagePositionPatient = [0, 0, 8 * number + 3 * (number > 2)]
    write.save(tmp_path / "uneven", *uneven)
    assert "it has no even distance" in fault_of(tmp_path / "uneven")
    for number, image in enumerate(tilted := write.series(VOXELS, orientation=write.STRAIGHT)):
        image.ImagePositionPatient = [number, 0, 8 * number]
    write.save(tmp_path / "tilted", *tilted)
    assert "shifted against each other by up to 4 mm" in fault_of(tmp_path / "tilted")


def test_two_directions_are_two_stacks(tmp_path: Path) -> None:
    write.save(tmp_path, *write.series(VOXELS), *write.series(VOXELS, "b", orientation=write.STRAIGHT))
    assert [group.stack.shape for group in groups_in(tmp_path)] == [(5, 6, 7)] * 2


def test_pixels_that_are_cut_off_are_a_damaged_file(tmp_path: Path) -> None:
    (file, *_) = write.save(tmp_path, *write.series(VOXELS[:2]))
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"IM000.dcm: this DICOM file cannot be read, it is damaged .* \(ValueError\)"):
        read_stack(only_stack(tmp_path))

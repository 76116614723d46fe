"""The axis through the slices, and one orientation for all cases, as the headers say."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.scans.geometry import Turn, plan_turns, slice_axis
from cldm_runtime.scans.nnunet_raw import read_raw_dataset
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.scans.volume_files import Geometry, read_array, read_geometry
from cldm_runtime.store import open_dataset
from scan_fixtures import describe

SETTINGS = PrepareSettings(shape=(40, 40), spacing_mm=(1.0, 1.0), percentiles=(0.0, 100.0), image_order=1, workers=1)
LABELS = {"background": 0, "lv_cavity": 1, "healthy_myocardium": 2, "infarct": 3}


def tapered(slices: int = 5) -> np.ndarray:
    """(slices, 32, 32): rings that grow from slice to slice, with infarct at the right alone."""
    y, x = np.mgrid[:32, :32] - 15.5
    outer = [6 + 2 * z for z in range(slices)]
    return np.stack([np.where(np.hypot(y, x) < size / 2, 1, np.where(np.hypot(y, x) < size, np.where(x > y, 3, 2), 0))
                     for size in outer]).astype(np.uint8)


def save(raw: Path, name: str, labels: np.ndarray, affine: np.ndarray) -> None:
    for kind, ending, array in (("images", "_0000", labels * 50.0), ("labels", "", labels)):
        (raw / f"{kind}Tr").mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(np.ascontiguousarray(array.transpose(2, 1, 0)), affine)
        nibabel.save(image, raw / f"{kind}Tr" / f"{name}{ending}.nii.gz")


def turned(labels: np.ndarray, *axes: int) -> tuple[np.ndarray, np.ndarray]:
    """The same patient at the same place with axes (z, y, x) reversed: array and affine."""
    affine = np.diag([1.0, 1.0, 8.0, 1.0])
    for axis in axes:
        affine[2 - axis] *= -1
        affine[2 - axis, 3] = -affine[2 - axis, 2 - axis] * (labels.shape[axis] - 1)
    return np.flip(labels, axes), affine


@pytest.mark.parametrize(("shape", "spacing", "axis"), [
    ((5, 96, 96), (8.0, 1.5, 1.5), 0), ((1, 96, 96), (1.0, 1.5, 1.5), 0), ((1, 96, 96), (1.4, 1.4, 1.42), 0),
    ((96, 1, 96), (1.0, 1.0, 1.0), 1), ((20, 96, 96), (1.0, 1.5, 1.5), 0), ((96, 96, 6), (1.0, 1.0, 4.0), 2),
    ((30, 96, 96), (1.4, 1.4, 1.42), 0), ((12, 96, 80), (8.0, 1.5, 1.7), 0)])
def test_the_axis_through_the_slices(shape: tuple[int, ...], spacing: tuple[float, ...], axis: int) -> None:
    assert slice_axis(Geometry(shape, spacing, None)) == axis


@pytest.mark.parametrize(("shape", "spacing", "readings"), [
    ((96, 20, 96), (1.5, 1.0, 1.5), "z: 96 slices, 1.5 mm apart, of 20 x 96 .* y: 20 slices, 1 mm apart, of 96 x 96"),
    ((5, 96, 96), (1.5, 1.5, 8.0), "z: 5 slices, 1.5 mm apart.* x: 96 slices, 8 mm apart"),
    ((96, 96, 5), (1.0, 1.0, 1.0), "z: 96 slices, 1 mm apart, of 96 x 5 .* x: 5 slices, 1 mm apart, of 96 x 96")])
def test_a_doubt_shows_both_readings_and_the_setting_settles_it(shape: tuple[int, ...], spacing: tuple[float, ...],
                                                                readings: str) -> None:
    with pytest.raises(InputError, match=readings):
        slice_axis(Geometry(shape, spacing, None))
    assert slice_axis(Geometry(shape, spacing, None), "x") == 2


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (1, 2), (0, 1, 2)])
def test_a_patient_looks_the_same_however_the_file_lies(tmp_path: Path, axes: tuple[int, ...]) -> None:
    for name in "ab":
        save(tmp_path / "raw", name, *turned(tapered()))
    save(tmp_path / "raw", "c", *turned(tapered(), *axes))
    notes: list[str] = []
    prepare(describe(tmp_path / "raw", labels=LABELS), tmp_path / "cohort.h5", SETTINGS, "lge", notes=notes)
    with open_dataset(tmp_path / "cohort.h5") as made:
        masks, images, position = made.masks(), made.images(), made.mask_attributes[:, 3]
        assert (masks[10:] == masks[:5]).all() and (images[10:] == images[:5]).all()
        assert position[10:].tolist() == position[:5].tolist()
        assert made.slices[10:].tolist() == ([4, 3, 2, 1, 0] if 0 in axes else [0, 1, 2, 3, 4])
    assert any("turned as their headers say" in note and note.endswith("case c") for note in notes)


def test_files_that_agree_and_files_that_say_nothing_are_taken_as_stored(tmp_path: Path) -> None:
    save(tmp_path, "a", *turned(tapered(), 2))
    save(tmp_path, "b", *turned(tapered(), 2))
    image = nibabel.load(tmp_path / "imagesTr" / "b_0000.nii.gz")
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "imagesTr" / "b_0000.nii.gz")
    raw, faults = read_raw_dataset(describe(tmp_path))
    notes: list[str] = []
    turns = plan_turns(raw.cases, 0, slices=True, wanted="", reorient=True, faults=faults, notes=notes)
    assert faults == [] and turns == {"a": Turn(), "b": Turn()}
    assert notes == ["these files do not say how they lie in space, and are taken as stored: case b"]


def test_volumes_are_turned_too_and_nothing_is_where_that_is_not_wanted(tmp_path: Path) -> None:
    save(tmp_path, "a", *turned(tapered()))
    save(tmp_path, "b", *turned(tapered(), 2))
    raw, faults = read_raw_dataset(describe(tmp_path))
    for reorient, turn in ((True, Turn(flipped=(2,))), (False, Turn())):
        turns = plan_turns(raw.cases, 0, slices=False, wanted="", reorient=reorient, faults=faults, notes=[])
        assert turns == {"a": Turn(), "b": turn}


@pytest.mark.parametrize(("names", "message"), [
    ("ab", 'look as if the stack begins at the base; .* Set prepare.first_slice = "base"'),
    ("a", "case a of 2 that tell look as if the stack begins at the base.* Reverse the slices of those files")])
def test_stacks_whose_labels_contradict_the_direction_are_named(tmp_path: Path, names: str, message: str) -> None:
    for name in "ab":
        save(tmp_path / "raw", name, tapered()[::-1] if name in names else tapered(), np.diag([1.0, 1.0, 8.0, 1.0]))
    raw, notes = describe(tmp_path / "raw", labels=LABELS), []
    with pytest.raises(InputError, match=message):
        prepare(raw, tmp_path / "cohort.h5", SETTINGS, "lge")
    settings = PrepareSettings(**{**vars(SETTINGS), "first_slice": "base" if names == "ab" else "apex"})
    prepare(raw, tmp_path / "cohort.h5", settings, "lge", notes=notes)
    assert any("as first_slice says" in note for note in notes) == (names == "a")


def test_half_of_the_stacks_the_other_way_without_a_sign_which(tmp_path: Path) -> None:
    level = np.stack([tapered(1)[0]] * 5)
    save(tmp_path / "raw", "a", *turned(level))
    save(tmp_path / "raw", "b", *turned(level, 0))
    with pytest.raises(InputError, match="half of the stacks run in the other direction by their headers: case b"):
        prepare(describe(tmp_path / "raw", labels=LABELS), tmp_path / "cohort.h5", SETTINGS, "lge")


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (4, 3, 2, 1), (4, 3, 2, 1, 1)])
def test_axes_of_length_1_are_left_out(tmp_path: Path, shape: tuple[int, ...]) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int16).reshape(shape)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([2.0, 3.0, 8.0, 1.0])), tmp_path / "a.nii.gz")
    array, spacing, _ = read_array(tmp_path / "a.nii.gz")
    expected = voxels.reshape(4, 3, -1).transpose(2, 1, 0)
    assert array.tolist() == expected.tolist() and spacing[1:] == (3.0, 2.0)
    assert read_geometry(tmp_path / "a.nii.gz").shape == expected.shape


def test_sizes_that_disagree_within_a_header_are_named(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 3, 2), np.int16), np.eye(4))
    image.header["pixdim"][1:4] = [1.5, 1.5, 8.0]
    image.header.set_sform(np.eye(4), 1)
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + bytes(4) + bytes(48))
    with pytest.raises(InputError, match=r"1.5 x 1.5 x 8 mm \(x, y, z\) in pixdim, 1 x 1 x 1 mm in the affine"):
        read_array(tmp_path / "a.nii")

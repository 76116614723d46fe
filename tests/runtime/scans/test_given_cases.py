"""Cases of given images: which files belong together, how they are normalised, and what is refused."""

from pathlib import Path

import nibabel
import numpy as np
import pytest

from cldm_runtime.bundle.manifest import ImageSpec, NormalisationSpec
from cldm_runtime.errors import InputError
from cldm_runtime.scans.given_cases import find_given_cases, read_given_case, write_on_grid
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import PrepareSettings
from cldm_runtime.store import open_dataset

CHANNELS = ("t1n", "t1c", "t2w", "t2f")
SHAPE = (3, 4, 5)  # z, y, x
AFFINE = np.array([[-1.0, 0, 0, 7], [0, -1, 0, 9], [0, 0, 1, -3], [0, 0, 0, 1]])
SPEC = ImageSpec(4, SHAPE, "NCDHW", (0.0, 1.0), (1.0, 1.0, 1.0), NormalisationSpec("percentile", 0.0, 100.0, "zero"))


def volume(channel: int) -> np.ndarray:
    """(z, y, x): zeros around numbers from 10 on, above another offset in each channel."""
    array = np.zeros(SHAPE)
    array[1:, 1:, 1:] = np.arange(10, 34).reshape(2, 3, 4) + 100 * channel
    return array


def write_case(folder: Path, name: str = "BraTS-GLI-00001-000", dtype: type = np.float32, **others: np.ndarray) -> Path:
    case = folder / name
    case.mkdir(parents=True)
    for number, channel in enumerate(CHANNELS):
        array = others.get(channel, volume(number)).astype(dtype)
        nibabel.save(nibabel.Nifti1Image(array.transpose(2, 1, 0), AFFINE), case / f"{name}-{channel}.nii.gz")
    return case


def read_only_case(folder: Path) -> np.ndarray:
    return read_given_case(find_given_cases(folder, 4)[0], SPEC).image


def test_a_folder_of_cases_or_one_case(tmp_path: Path) -> None:
    for name in ("BraTS-GLI-00002-001", "BraTS-GLI-00001-000"):
        case = write_case(tmp_path / "cases", name)
    found = find_given_cases(tmp_path / "cases", 4)
    assert [each.name for each in found] == ["BraTS-GLI-00001-000", "BraTS-GLI-00002-001"]
    assert tuple(found[0].files) == CHANNELS
    assert [each.name for each in find_given_cases(case, 4)] == ["BraTS-GLI-00001-000"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_sequences_are_normalised_inside_the_brain(tmp_path: Path, dtype: type) -> None:
    others = {"t2w": volume(0), "t2f": volume(0), "t1c": volume(0)}
    write_case(tmp_path, dtype=dtype, **others)
    image = read_only_case(tmp_path)
    expected = np.where(volume(0) == 0, 0.0, (volume(0) - 10) / 23)
    assert image.shape == (4, *SHAPE) and np.allclose(image, expected, atol=1e-6)


def test_the_affine_comes_back(tmp_path: Path) -> None:
    write_case(tmp_path)
    scan = read_given_case(find_given_cases(tmp_path, 4)[0], SPEC)
    labels, variance = np.arange(60, dtype=np.uint8).reshape(SHAPE), np.random.default_rng(0).random((3, *SHAPE))
    write_on_grid(tmp_path / "seg.nii.gz", labels, scan.affine)
    write_on_grid(tmp_path / "variance.nii.gz", variance.astype(np.float32), scan.affine)
    back, doubt = nibabel.load(tmp_path / "seg.nii.gz"), nibabel.load(tmp_path / "variance.nii.gz")
    assert np.array_equal(back.affine, AFFINE) and np.array_equal(doubt.affine, AFFINE)
    assert np.array_equal(np.asarray(back.dataobj).transpose(2, 1, 0), labels)
    assert doubt.shape == (5, 4, 3, 3) and doubt.get_fdata()[4, 3, 2, 1] == pytest.approx(variance[1, 2, 3, 4])


def test_a_missing_sequence_is_named(tmp_path: Path) -> None:
    (write_case(tmp_path) / "BraTS-GLI-00001-000-t2w.nii.gz").unlink()
    with pytest.raises(InputError, match=r"case BraTS-GLI-00001-000: .*-000-t2w.nii\[.gz\] is missing"):
        find_given_cases(tmp_path, 4)


def test_a_case_in_two_folders_is_named_not_dropped(tmp_path: Path) -> None:
    for folder, value in (("a", 1.0), ("b", 2.0)):
        write_case(tmp_path / folder, t1n=volume(0) * value)
    with pytest.raises(InputError, match=r"case BraTS-GLI-00001-000: is there 2 times: .*a/.*-t1n.nii.gz, .*b/"):
        find_given_cases(tmp_path, 4)


@pytest.mark.parametrize("subset", ["validation", "test"])
def test_cases_of_a_folder_that_names_a_subset_need_no_label_map(tmp_path: Path, subset: str) -> None:
    write_case(tmp_path / subset)
    assert [case.name for case in find_given_cases(tmp_path / subset, 4)] == ["BraTS-GLI-00001-000"]


def test_without_the_first_sequence_the_others_are_named(tmp_path: Path) -> None:
    (write_case(tmp_path) / "BraTS-GLI-00001-000-t1n.nii.gz").unlink()
    with pytest.raises(InputError, match=r"holds no case.*\s.*BraTS from 2023: case BraTS-GLI-00001-000: .*-t1n"):
        find_given_cases(tmp_path, 4)


def test_a_folder_without_cases_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no case with 4 sequences. Expected files named like .*t1n.nii"):
        find_given_cases(tmp_path, 4)
    with pytest.raises(InputError, match="there is no such folder"):
        find_given_cases(tmp_path / "nowhere", 4)


@pytest.mark.parametrize(("array", "message"), [
    (np.zeros(SHAPE), "t1c is empty"), (np.where(volume(1) == 115, np.nan, volume(1)), "t1c holds NaN"),
    (np.zeros((3, 4, 6)), r"t1c has \(3, 4, 6\) voxels \(z, y, x\), t1n \(3, 4, 5\)")])
def test_a_bad_sequence_is_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    write_case(tmp_path, t1c=array)
    with pytest.raises(InputError, match=f"case BraTS-GLI-00001-000: {message}"):
        read_only_case(tmp_path)


def test_sequences_of_another_place_or_spacing_are_refused(tmp_path: Path) -> None:
    case = write_case(tmp_path)
    moved = AFFINE.copy()
    moved[0, 3] += 1
    nibabel.save(nibabel.Nifti1Image(volume(1).transpose(2, 1, 0), moved), case / f"{case.name}-t1c.nii.gz")
    with pytest.raises(InputError, match="t1c and t1n have different affines"):
        read_only_case(tmp_path)
    for number, channel in enumerate(CHANNELS):
        wide = nibabel.Nifti1Image(volume(number).transpose(2, 1, 0), np.diag([2.0, 2, 2, 1]))
        nibabel.save(wide, case / f"{case.name}-{channel}.nii.gz")
    with pytest.raises(InputError, match="voxels are 2 x 2 x 2 mm"):
        read_only_case(tmp_path)


DOMAIN = """name = "brain"
axes = 3
[labels]
necrotic_core = 1
edema = 2
enhancing_tumour = 3
"""


@pytest.mark.parametrize("voxel_mm", [1.0, 3.958])
def test_given_images_are_as_those_that_a_cohort_was_prepared_of(tmp_path: Path, voxel_mm: float) -> None:
    """Up to the border: a header keeps 3.958 mm as 3.9579999 mm."""
    rng, shape, affine = np.random.default_rng(0), (6, 7, 8), np.diag([-voxel_mm, -voxel_mm, voxel_mm, 1.0])
    name, labels = "BraTS-GLI-00001-000", np.zeros(shape, np.uint8)
    labels[2:4, 2:4, 2:4] = 2
    folder = tmp_path / "raw" / name
    folder.mkdir(parents=True)
    for channel in CHANNELS:
        brain = rng.integers(100, 1000, shape) * (rng.random(shape) < 0.7)
        nibabel.save(nibabel.Nifti1Image(brain.astype(np.int16).transpose(2, 1, 0), affine),
                     folder / f"{name}-{channel}.nii.gz")
    nibabel.save(nibabel.Nifti1Image(labels.transpose(2, 1, 0), affine), folder / f"{name}-seg.nii.gz")
    (tmp_path / "brain.toml").write_text(DOMAIN)
    settings = PrepareSettings(shape=shape, spacing_mm=(voxel_mm,) * 3, centre="image", margin_mm=0.0, channels="all",
                               percentiles=(0.0, 99.5), padding="zero", workers=1, validation_share=0.0)
    prepare(tmp_path / "raw", tmp_path / "cohort.h5", settings, str(tmp_path / "brain.toml"))
    spec = ImageSpec(4, shape, "NCDHW", (0.0, 1.0), (voxel_mm,) * 3,
                     NormalisationSpec("percentile", 0.0, 99.5, "zero"))
    given = read_given_case(find_given_cases(tmp_path / "raw", 4)[0], spec).image
    with open_dataset(tmp_path / "cohort.h5") as cohort:
        assert np.abs(cohort.images(0) - given).max() < 1e-4

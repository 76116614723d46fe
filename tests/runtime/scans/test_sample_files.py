"""Label maps return to the grid of their image, whatever axes another program gave them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("SimpleITK")

import nibabel
import SimpleITK as itk

from cldm_runtime.errors import InputError
from cldm_runtime.scans.sample_files import case_name, nifti_bytes, read_on_grid

SLICE, VOLUME = (6, 5), (4, 6, 5)
SPACING = (2.0, 1.5, 1.25)


def written(folder: Path, shape: tuple[int, ...]) -> tuple[Path, np.ndarray]:
    labels = np.random.default_rng(0).integers(0, 5, shape).astype(np.uint8)
    (folder / "a.nii.gz").write_bytes(nifti_bytes(labels, SPACING[-len(shape):]))
    return folder / "a.nii.gz", labels


def test_rows_have_names() -> None:
    assert [case_name(row) for row in (0, 12, 123456)] == ["sample00000", "sample00012", "sample123456"]


def test_simpleitk_sees_the_axes_of_the_array(tmp_path: Path) -> None:
    file, labels = written(tmp_path, VOLUME)
    image = itk.ReadImage(str(file))
    assert np.array_equal(itk.GetArrayFromImage(image), labels)
    assert (image.GetSpacing(), image.GetOrigin()) == (SPACING[::-1], (0, 0, 0))
    assert np.allclose(image.GetDirection(), np.eye(3).ravel())


@pytest.mark.parametrize("shape", [SLICE, VOLUME])
@pytest.mark.parametrize("axes", ["RAS", "LPS", "AIR", "SLA", "PIL"])
def test_reoriented_by_nibabel(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    file, labels = written(tmp_path, shape)
    image = nibabel.load(file)
    wanted = nibabel.orientations.axcodes2ornt(axes)
    nibabel.save(image.as_reoriented(nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine), wanted)),
                 tmp_path / "b.nii.gz")
    assert np.array_equal(read_on_grid(tmp_path / "b.nii.gz", shape, SPACING[-len(shape):]), labels)


@pytest.mark.parametrize("ending", ["nii.gz", "mha", "nrrd"])
@pytest.mark.parametrize("axes", ["RAS", "LPI", "PSR"])
def test_reoriented_by_simpleitk(tmp_path: Path, ending: str, axes: str) -> None:
    file, labels = written(tmp_path, VOLUME)
    itk.WriteImage(itk.DICOMOrient(itk.ReadImage(str(file)), axes), str(tmp_path / f"b.{ending}"))
    assert np.array_equal(read_on_grid(tmp_path / f"b.{ending}", VOLUME, SPACING), labels)


def _no_codes(image: nibabel.Nifti1Image) -> nibabel.Nifti1Image:
    image.header.set_sform(None, 0)
    image.header.set_qform(None, 0)
    return image


@pytest.mark.parametrize("lose", [
    lambda array: nibabel.Nifti1Image(array, np.diag([1.25, 1.5, 2.0, 1])),
    lambda array: _no_codes(nibabel.Nifti1Image(array, np.diag([1.25, 1.5, 2.0, 1])))])
def test_a_lost_place_is_as_stored(tmp_path: Path, lose: Callable[[np.ndarray], nibabel.Nifti1Image]) -> None:
    file, labels = written(tmp_path, VOLUME)
    nibabel.save(lose(np.asarray(nibabel.load(file).dataobj)), tmp_path / "b.nii.gz")
    assert np.array_equal(read_on_grid(tmp_path / "b.nii.gz", VOLUME, SPACING), labels)


def test_another_place_is_refused(tmp_path: Path) -> None:
    file, _ = written(tmp_path, VOLUME)
    image = itk.ReadImage(str(file))
    for name, origin, angle in (("moved", (5.0, 0, 0), 0.0), ("turned", (0, 0, 0), 0.3)):
        image.SetOrigin(origin)
        image.SetDirection([np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle), 0, 0, 0, 1])
        itk.WriteImage(image, str(tmp_path / f"{name}.nii.gz"))
    with pytest.raises(InputError, match=r"moved.nii.gz: its first voxel lies 5, 0, 0 mm"):
        read_on_grid(tmp_path / "moved.nii.gz", VOLUME, SPACING)
    with pytest.raises(InputError, match=r"turned.nii.gz: its axes are turned by an angle"):
        read_on_grid(tmp_path / "turned.nii.gz", VOLUME, SPACING)

"""Image files of several kinds give the same array, spacing and geometry; what is unsafe or unfit is refused."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.scans import volume_files
from cldm_runtime.scans.nnunet_raw import write_nifti
from cldm_runtime.scans.volume_files import read_array, read_geometry

sitk = pytest.importorskip("SimpleITK")
pytest.importorskip("nibabel")
STACK = np.arange(24, dtype=np.int16).reshape(2, 3, 4)  # z, y, x


def write_itk(file: Path, array: np.ndarray, spacing_xyz: tuple[float, ...]) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing_xyz)
    sitk.WriteImage(image, str(file))
    return file


@pytest.mark.parametrize("ending", [".nii.gz", ".mha", ".nrrd", ".gipl"])
def test_a_volume_reads_back_in_the_order_z_y_x(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"a{ending}"
    if ending == ".nii.gz":
        write_nifti(file, STACK, (8.0, 2.0, 1.5))
    else:
        write_itk(file, STACK, (1.5, 2.0, 8.0))
    array, spacing, matrix = read_array(file)
    assert array.tolist() == STACK.tolist()
    assert spacing == (8.0, 2.0, 1.5) and np.diag(matrix).tolist() == [1.5, 2.0, 8.0, 1.0]


def test_where_a_meta_image_lies_is_part_of_its_geometry(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(STACK)
    image.SetOrigin((10.0, 20.0, 30.0))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    assert read_array(tmp_path / "a.mha")[2][:3, 3].tolist() == [10.0, 20.0, 30.0]


@pytest.mark.parametrize("ending", [".mha", ".nrrd"])
def test_a_text_header_may_have_two_axes(tmp_path: Path, ending: str) -> None:
    array, spacing, _ = read_array(write_itk(tmp_path / f"a{ending}", STACK[1], (1.5, 2.0)))
    assert array.tolist() == STACK[1:].tolist() and spacing == (999.0, 2.0, 1.5)


@pytest.mark.parametrize("ending", [".png", ".bmp", ".tif"])
def test_a_picture_is_a_stack_of_one_slice_with_pixels_of_1_mm(tmp_path: Path, ending: str) -> None:
    array, spacing, _ = read_array(write_itk(tmp_path / f"a{ending}", STACK[0].astype(np.uint8), (1.0, 1.0)))
    assert array.tolist() == STACK[:1].tolist() and spacing == (999.0, 1.0, 1.0)


def test_the_geometry_of_a_picture_is_known_without_its_pixels(tmp_path: Path) -> None:
    geometry = read_geometry(write_itk(tmp_path / "a.png", STACK[0].astype(np.uint8), (1.0, 1.0)))
    assert geometry.shape == (1, 3, 4) and geometry.spacing_mm == (999.0, 1.0, 1.0)


def test_a_picture_in_colour_is_refused(tmp_path: Path) -> None:
    colours = np.zeros((3, 4, 3), np.uint8)
    colours[1, 1] = 1, 2, 3
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "a.png"))
    with pytest.raises(InputError, match=r"a\.png: is in colour"):
        read_array(tmp_path / "a.png")


def test_an_ending_that_nobody_reads_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.mhd").write_text("ElementDataFile = b.raw\n")
    with pytest.raises(InputError, match=r"end with \.mhd are not read"):
        read_array(tmp_path / "a.mhd")


def test_a_header_that_hides_where_its_voxels_lie_is_refused(tmp_path: Path) -> None:
    text = "ObjectType = Image\nNDims = 3\n" + "Comment = x\n" * 10_000 + "ElementDataFile = /etc/passwd\n"
    (tmp_path / "a.mha").write_text(text)
    with pytest.raises(InputError, match="does not begin with a header"):
        read_array(tmp_path / "a.mha")


@pytest.mark.parametrize("spoilt", [("NDims = 3", "NDims = 3" + "9" * 40), ("NDims = 3", "NDims = 4"),
                                    ("DimSize", "DimSize\0"), ("DimSize", "Comment = " + "x" * 300 + "\nDimSize")])
def test_a_header_that_no_program_writes_never_reaches_itk(tmp_path: Path, spoilt: tuple[str, str]) -> None:
    file = write_itk(tmp_path / "a.mha", STACK, (1.0, 1.0, 1.0))
    file.write_bytes(file.read_bytes().replace(*(text.encode() for text in spoilt), 1))
    with pytest.raises(InputError, match=r"does not begin with a header|expected one line that says"):
        read_array(file)


@pytest.mark.parametrize(("package", "name"), [("nibabel", "a.nii.gz"), ("SimpleITK", "a.mha")])
def test_a_missing_package_answers_with_the_pip_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str,
                                                     name: str) -> None:
    (tmp_path / name).write_text("NDims = 3\nElementDataFile = LOCAL\n")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=re.escape(f"{package} is not installed")) as caught:
        read_array(tmp_path / name)
    assert volume_files.INSTALL == "pip install 'cldm-runtime[scans]'" and volume_files.INSTALL in str(caught.value)


def test_a_numpy_array_of_one_slice_is_read_and_anything_else_in_it_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[0])
    array, spacing, _ = read_array(tmp_path / "a.npy")
    assert array.tolist() == STACK[:1].tolist() and spacing == (999.0, 1.0, 1.0)
    assert read_geometry(tmp_path / "a.npy").shape == (1, 3, 4)
    np.save(tmp_path / "a.npy", STACK)
    with pytest.raises(InputError, match="expected 2 axes, found 3"):
        read_array(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.array([[None]]), allow_pickle=True)
    with pytest.raises(InputError, match="cannot be read"):
        read_array(tmp_path / "a.npy")

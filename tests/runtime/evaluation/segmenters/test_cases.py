"""Rows as NIfTI files and back."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")
pytest.importorskip("SimpleITK")
pytest.importorskip("onnx")

import nibabel
import SimpleITK as itk

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.cases import read_label_maps, write_images
from cldm_runtime.scans.sample_files import case_name
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from onnx_fixtures import GREYS
from segmenter_fixtures import DOMAIN, MASKS, write_hearts


def test_an_image_is_what_another_reader_sees(tmp_path: Path) -> None:
    """SimpleITK reads pixels, spacing and the identity as direction."""
    spec = DatasetSpec(DOMAIN, (64, 64), (1.5, 2.0), channels=2)
    with create_dataset(tmp_path / "two.h5", spec) as writer:
        writer.append(images=np.stack([GREYS[MASKS], 1 - GREYS[MASKS]], axis=1), masks=MASKS)
    with open_dataset(tmp_path / "two.h5") as dataset:
        files = write_images(dataset, range(1, 3), tmp_path)
    assert [file.name for file in files[:3]] == [f"sample0000{row}_000{channel}.nii.gz"
                                                 for row, channel in ((1, 0), (1, 1), (2, 0))]
    image = itk.ReadImage(str(files[1]))
    assert image.GetSpacing() == (2.0, 1.5, 1.0) and image.GetDirection() == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert np.allclose(itk.GetArrayFromImage(image)[0], 1 - GREYS[MASKS[1]], atol=1e-4)


def save(folder: Path, row: int, labels: np.ndarray, spacing: float = 1.0) -> None:
    image = nibabel.Nifti1Image(labels.T[..., None], np.diag([-spacing, -spacing, 1, 1]))
    nibabel.save(image, folder / f"{case_name(row)}.nii.gz")


def test_label_maps_return_by_name(tmp_path: Path) -> None:
    for row, labels in enumerate(MASKS[:3]):
        save(tmp_path, row, labels)
    itk.WriteImage(itk.GetImageFromArray(MASKS[3]), str(tmp_path / f"{case_name(3)}.png"))
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        assert np.array_equal(read_label_maps(dataset, range(4), tmp_path), MASKS)


def test_every_file_that_does_not_fit_is_named(tmp_path: Path) -> None:
    save(tmp_path, 0, MASKS[0][:50])
    save(tmp_path, 1, MASKS[1], spacing=2.0)
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset, pytest.raises(InputError) as found:
        read_label_maps(dataset, range(3), tmp_path)
    for words in (r"its shape is (50, 64), expected (64, 64)", "its pixels are (2.0, 2.0) mm", "no file sample00002"):
        assert words in str(found.value)

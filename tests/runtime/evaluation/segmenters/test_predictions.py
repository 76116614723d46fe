"""A folder of label maps that were predicted elsewhere."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("SimpleITK")

import SimpleITK as itk

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.predictions import PredictionsFolder
from cldm_runtime.store import open_dataset
from segmenter_fixtures import MASKS, write_hearts


def save(folder: Path, names: list[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, labels in zip(names, MASKS, strict=False):
        itk.WriteImage(itk.GetImageFromArray(labels), str(folder / f"{name}.png"))
    return folder


def test_rows_are_found_by_name(tmp_path: Path) -> None:
    found = PredictionsFolder("mine", save(tmp_path / "mine", [f"sample0000{row}" for row in range(4)]))
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        found.check_fit(dataset)
        assert np.array_equal(found.segment_rows(dataset, slice(1, 4), 16), MASKS[1:])


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    found = PredictionsFolder("mine", save(tmp_path / "mine", ["sample00000", "sample00001", "case_7"]))
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset, pytest.raises(InputError) as error:
        found.check_fit(dataset)
    for words in ("sample00002: no file", "sample00003: no file", "case_7.png: belongs to no row"):
        assert words in str(error.value)


def test_two_files_of_a_row_are_named(tmp_path: Path) -> None:
    """None of them is taken silently, whatever the order of the endings."""
    folder = save(tmp_path / "mine", [f"sample0000{row}" for row in range(4)])
    np.save(folder / "sample00001.npy", MASKS[0])
    (folder / "sample00003.nii").touch()
    message = ("(?s)sample00001: is there 2 times: sample00001.npy, sample00001.png. Keep one.*"
               "sample00003: is there 2 times: sample00003.nii, sample00003.png. Keep one")
    with open_dataset(write_hearts(tmp_path / "hearts.h5")) as dataset:
        for use in (lambda found: found.check_fit(dataset), lambda found: found.segment_rows(dataset, slice(1, 4), 16)):
            with pytest.raises(InputError, match=message):
                use(PredictionsFolder("mine", folder))


def test_another_content_is_another_source(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine", ["sample00000"])
    before = PredictionsFolder("mine", folder).source()
    assert PredictionsFolder("mine", folder).made(before)
    itk.WriteImage(itk.GetImageFromArray(MASKS[3]), str(folder / "sample00000.png"))
    assert not PredictionsFolder("mine", folder).made(before)

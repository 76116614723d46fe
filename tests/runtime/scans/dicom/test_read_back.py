"""A sample that was written comes back; one that was changed says how."""

from pathlib import Path

import numpy as np
import pytest

import dicom_fixtures as write
from cldm_runtime.errors import InputError
from cldm_runtime.scans.dicom.read_back import read_sample
from cldm_runtime.scans.dicom.write import Subject, write_sample

LABELS = ("background", "a", "b")
STORED = np.random.default_rng(0).integers(0, 65536, (1, 3, 5, 6)).astype(np.uint16)
MAP = np.random.default_rng(1).integers(0, 3, (3, 5, 6)).astype(np.uint8)


def sample(folder: Path) -> list[Path]:
    return write_sample(folder, Subject("x", True, (4.0, 1.5, 1.25), (1.0, 0.0), LABELS), "s", STORED, {"labels": MAP})


def read(folder: Path) -> dict[str, np.ndarray]:
    return read_sample(folder, "s", 1, (3, 5, 6), LABELS, ("labels",))


def test_it_comes_back(tmp_path: Path) -> None:
    sample(tmp_path)
    found = read(tmp_path)
    assert np.array_equal(found["image"], STORED) and found["image"].dtype == np.uint16
    assert np.array_equal(found["labels"], MAP)


@pytest.mark.parametrize(("name", "value", "message"), [
    ("RescaleSlope", "0.5", "s: its pixels are no whole numbers from 0 to 65535"),
    ("ImagePositionPatient", [0, 0, 0], "s/image0_0000.dcm: 3 images lie at 2 places"),
    ("PixelSpacing", [3, 3], "s/image0_0000.dcm: its slices have different grids"),
    ("ImageOrientationPatient", None, r"image0_0001.dcm: does not say where it lies")])
def test_a_changed_header_is_named(tmp_path: Path, name: str, value: object, message: str) -> None:
    file = sample(tmp_path)[1]
    data = write.pydicom.dcmread(file)
    setattr(data, name, value)
    data.save_as(file)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


def test_another_size_is_named(tmp_path: Path) -> None:
    sample(tmp_path)
    with pytest.raises(InputError, match=r"s: its shape is \(3, 5, 6\), expected \(3, 6, 5\)"):
        read_sample(tmp_path, "s", 1, (3, 6, 5), LABELS, ())

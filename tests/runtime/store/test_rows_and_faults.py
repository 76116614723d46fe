"""What callers ask of a dataset, and what they must not put into one."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import CldmError, DatasetError, InputError, OutOfRange
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three samples of 4 x 4 pixels; all of image i are i / 4, all of label map i are i."""
    rows = np.arange(3).reshape(3, 1, 1, 1)
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (4, 4), (1.0, 1.0))) as writer:
        writer.append(images=np.broadcast_to(rows / 4, (3, 1, 4, 4)), masks=np.broadcast_to(rows[:, 0], (3, 4, 4)))
    return tmp_path / "a.h5"


@pytest.mark.parametrize(("rows", "expected"), [
    (slice(None, None, -1), [2, 1, 0]), ([-1, 0], [2, 0]), (np.array([False, True, True]), [1, 2]), ([], [])])
def test_rows_are_taken_as_numpy_takes_them(path: Path, rows: slice | list[int], expected: list[int]) -> None:
    with open_dataset(path) as dataset:
        assert dataset.masks(rows)[:, 0, 0].tolist() == expected


@pytest.mark.parametrize("row", [3, -4, [0, 3], np.int64(500)])
def test_rows_out_of_range_are_no_damage(path: Path, row: int) -> None:
    with open_dataset(path) as dataset, pytest.raises(OutOfRange, match="expected 0 to 2") as error:
        dataset.images(row)
    assert isinstance(error.value, IndexError) and isinstance(error.value, InputError)


@pytest.mark.parametrize("rows", [0.5, "1", [[0]], None, slice("a", "b"), slice(0, 2, 0)])
def test_what_is_no_row_is_refused(path: Path, rows: object) -> None:
    with open_dataset(path) as dataset, pytest.raises(InputError):
        dataset.images(rows)  # type: ignore[arg-type]


def test_a_dataset_is_a_sequence_of_samples(path: Path) -> None:
    with open_dataset(path) as dataset:
        assert [sample["mask"].max() for sample in dataset] == [0, 1, 2]
        assert dataset[-1]["image"].shape == (1, 4, 4) and dataset[-1]["mask"][0, 0] == 2
        with pytest.raises(IndexError):
            dataset[3]
        assert repr(dataset) == "<Dataset a.h5 of lge: 3 images of 1 x (4, 4), with masks, 0 segmentation(s)>"
    assert "closed" in repr(dataset)


@pytest.mark.parametrize(("masks", "message"), [
    (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\), expected \(n, 4, 4\)"),
    (np.zeros((4, 4), np.uint8), r"shape \(4, 4\), expected \(n, 4, 4\)"),
    (np.zeros((3, 4, 4)), "must be integers, found float64"),
    (np.full((3, 4, 4), 7), r"unknown label values \[7\]"),
    (np.full((3, 4, 4), -1), r"unknown label values \[-1\]"),
    (np.zeros((2, 4, 4), np.uint8), "do not have the file's 3 rows"),
    (["a"], "expected an array of numbers"),
])
def test_a_segmentation_that_does_not_fit_leaves_the_file(path: Path, masks: np.ndarray, message: str) -> None:
    before = path.read_bytes()
    with pytest.raises(CldmError, match=message), edit_dataset(path) as editor:
        editor.segmentation("mine").append(masks=masks)
    assert path.read_bytes() == before and [each.name for each in path.parent.iterdir()] == ["a.h5"]


def test_a_faulty_segmentation_can_be_replaced(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["segmentations/mine/masks"] = np.zeros((2, 9, 9), np.uint8)
        file["segmentations/mine/scores"] = h5py.SoftLink("/images")
    with pytest.raises(DatasetError):
        open_dataset(path)
    with pytest.raises(DatasetError):
        edit_dataset(path, replace=["segmentations/other"])
    with edit_dataset(path, replace=["/segmentations/mine"]) as editor:
        editor.segmentation("mine").append(masks=np.ones((3, 4, 4), np.uint8))
    with open_dataset(path) as dataset:
        assert dataset.segmentation("mine").masks().sum() == 48


@pytest.mark.parametrize("metadata", [{"format_version": 99}, {"domain": "x"}, {"complete": 0}, {"": 1}, {"a\0": 1},
                                      {"a": None}, {"a": [1]}, {"a": {}}, {"a": 2**63}, {"a": "\udc80"}])
def test_metadata_that_no_reader_can_take_is_refused_and_the_file_stays(path: Path, metadata: dict) -> None:
    before = path.read_bytes()
    with pytest.raises(DatasetError, match="metadata"), edit_dataset(path) as editor:
        editor.set_metadata(metadata)
    assert path.read_bytes() == before


def test_a_segmentation_without_label_maps_is_refused_and_the_file_stays(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(DatasetError, match="/segmentations/mine: no label map was appended"), \
            edit_dataset(path) as editor:
        editor.segmentation("mine")
    assert path.read_bytes() == before


def test_images_are_not_replaced(path: Path) -> None:
    with pytest.raises(DatasetError, match="/images cannot be replaced"):
        edit_dataset(path, replace=["/images"])


def test_a_file_without_images_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no image was appended"), \
            create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (4, 4), (1.0, 1.0))):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("spec", [{"shape": (0, 4)}, {"shape": (4.0, 4)}, {"channels": 0}, {"spacing_mm": (0.0, 1.0)},
                                  {"spacing_mm": (float("nan"), 1.0)}, {"intensity_range": (1.0, 1.0)},
                                  {"domain": "lge"}])
def test_what_no_file_can_be_made_of_is_refused(spec: dict) -> None:
    with pytest.raises(CldmError):
        DatasetSpec(**{"domain": get_domain("lge"), "shape": (4, 4), "spacing_mm": (1.0, 1.0), **spec})


def test_a_patient_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="/patients: holds None"), \
            create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (4, 4), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 4, 4)), patients=["a", None])


@pytest.mark.parametrize("given", [None, 3, ["a"]])
def test_what_is_no_path_is_refused(given: object) -> None:
    for function in (open_dataset, edit_dataset):
        with pytest.raises(InputError, match="expected a path"):
            function(given)  # type: ignore[arg-type]

"""Scores are of the images, label maps and segmentation that the file holds now, or there are none."""

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.errors import DatasetError
from cldm_runtime.evaluation.run import Evaluation, evaluate_dataset
from cldm_runtime.evaluation.steps import measure_dataset, segment_dataset
from cldm_runtime.report.page import write_report
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_runtime.store import open_dataset
from cohort_fixtures import write_drawn_cohort

NAME = "tiny-segmenter"


@pytest.fixture
def evaluated(tmp_path: Path, tiny_segmenter: Path) -> Path:
    path = tmp_path / "a.h5"
    write_drawn_cohort(path, {"test": 3})
    evaluate_dataset(path, Segmenter.load(tiny_segmenter))
    return path


@pytest.fixture
def changed(evaluated: Path, tmp_path: Path) -> Callable[[str], Path]:
    """A copy of which one value of a dataset, or one spacing, is changed."""
    def change(where: str) -> Path:
        shutil.copy(evaluated, path := tmp_path / "b.h5")
        with h5py.File(path, "r+") as file:
            if where == "spacing_mm":
                file["images"].attrs["spacing_mm"] = [1.0, 1.5]
            else:
                place = (0,) * (file[where].ndim - 2) + (64, 64)
                file[where][place] = 3 - file[where][place] if where != "images" else 0
        return path

    return change


@pytest.mark.parametrize("where", ["images", "spacing_mm"])
def test_other_images_are_segmented_again(changed: Callable[[str], Path], tiny_segmenter: Path, where: str) -> None:
    path, segmenter = changed(where), Segmenter.load(tiny_segmenter)
    with pytest.raises(DatasetError, match=r"is of other images.*cldm evaluate"):
        measure_dataset(path)
    with pytest.raises(DatasetError, match="is of other images"):
        write_report(path, NAME, path.parent)
    assert not Evaluation(path, segmenter).is_finished()
    evaluate_dataset(path, segmenter)
    assert Evaluation(path, segmenter).is_finished()
    write_report(path, NAME, path.parent)


@pytest.mark.parametrize("where", ["masks", f"segmentations/{NAME}/masks"])
def test_other_label_maps_are_measured_again(changed: Callable[[str], Path], tiny_segmenter: Path, where: str) -> None:
    with pytest.raises(DatasetError, match=r"(?s)other label maps.*`cldm measure"):
        write_report(path := changed(where), NAME, path.parent)
    measure_dataset(path)
    write_report(path, NAME, path.parent)
    evaluate_dataset(path := changed(where), Segmenter.load(tiny_segmenter))
    write_report(path, NAME, path.parent)


def test_the_same_content_is_used_again(evaluated: Path, tiny_segmenter: Path) -> None:
    assert Evaluation(evaluated, Segmenter.load(tiny_segmenter)).is_finished()


def test_a_file_without_a_record_is_evaluated_again(evaluated: Path, tmp_path: Path, tiny_segmenter: Path) -> None:
    shutil.copy(evaluated, path := tmp_path / "old.h5")
    with h5py.File(path, "r+") as file:
        del file[f"segmentations/{NAME}"].attrs["derived_from"]
    segmenter = Segmenter.load(tiny_segmenter)
    assert not Evaluation(path, segmenter).is_finished()
    evaluate_dataset(path, segmenter)
    assert Evaluation(path, segmenter).is_finished()


def test_parts_of_other_images_are_done_again(tmp_path: Path, tiny_segmenter: Path) -> None:
    write_drawn_cohort(path := tmp_path / "a.h5", {"test": 3})
    run = Evaluation(path, Segmenter.load(tiny_segmenter))
    run.folder.mkdir()
    run.write_part(run.parts[0], lambda count: None)
    assert run.is_committed(run.parts[0])
    with h5py.File(path, "r+") as file:
        file["images"][0, 0, 0, 0] = 9
    assert not run.is_committed(run.parts[0])


def test_segmenting_alone_states_its_images(tmp_path: Path, tiny_segmenter: Path) -> None:
    write_drawn_cohort(path := tmp_path / "a.h5", {"test": 3})
    segment_dataset(path, Segmenter.load(tiny_segmenter))
    measure_dataset(path)
    with open_dataset(path) as dataset:
        before = dataset.segmentation(NAME).metadata
    evaluate_dataset(path, Segmenter.load(tiny_segmenter))
    with open_dataset(path) as dataset:
        assert dataset.segmentation(NAME).metadata == before

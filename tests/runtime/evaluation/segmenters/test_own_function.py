"""Functions of the user's as segmenters."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")

from cldm_runtime.errors import InputError
from cldm_runtime.evaluation.segmenters.own_function import OwnFunction, as_segmenter, load_function
from cldm_runtime.store import open_dataset
from segmenter_fixtures import MASKS, read_greys, write_hearts


def segment(folder: Path, segmenter: OwnFunction) -> np.ndarray:
    with open_dataset(write_hearts(folder / "hearts.h5")) as dataset:
        segmenter.check_fit(dataset)
        return segmenter.segment_rows(dataset, slice(1, 3), 16)


def test_a_function_gets_images_and_spacing(tmp_path: Path) -> None:
    segmenter = as_segmenter(read_greys)
    assert segmenter.name == "read_greys" and np.array_equal(segment(tmp_path, segmenter), MASKS[1:3])


def test_a_function_of_images_alone_and_a_callable_object(tmp_path: Path) -> None:
    class Reader:
        def __call__(self, images: np.ndarray) -> np.ndarray:
            return read_greys(images, (1.0, 1.0))

    assert np.array_equal(segment(tmp_path, as_segmenter(Reader())), MASKS[1:3])
    assert as_segmenter(Reader()).name == "Reader"


def test_its_values_are_translated(tmp_path: Path) -> None:
    order = {"0": "background", "1": "healthy_myocardium", "2": "infarct", "3": "lv_cavity"}
    mine = OwnFunction("mine", lambda images: np.array([0, 3, 1, 2])[read_greys(images, (1.0, 1.0))], labels=order)
    assert np.array_equal(segment(tmp_path, mine), MASKS[1:3])


@pytest.mark.parametrize(("function", "message"), [
    (lambda images: images[:, 0], r"gave label maps of shape \(2, 64\), expected \(2, 64, 64\)"),
    (lambda images: images, "expected label maps of whole numbers"),
    (lambda images: np.full(images.shape, 9), r"gave the values \[9\]"),
    (lambda images: 1 / 0, r"failed for images of shape \(2, 64, 64\) \(ZeroDivisionError"),
    (lambda images: "labels", "found str, expected an array of numbers"),
])
def test_a_wrong_answer_is_one_message(function: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        segment(tmp_path, as_segmenter(function, "mine"))


def test_a_function_of_a_module_is_imported_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_module.py").write_text("def cut(images):\n    return (images > 0.4).astype(int)\n")
    found = load_function("my_module:cut", tmp_path)
    assert found.name == "my_module-cut" and found.source()["function"] == "my_module:cut"
    again = pickle.loads(pickle.dumps(found))
    assert again.function is found.function and again.made(found.source())


def test_a_change_of_code_is_the_same_segmenter_in_another_version(tmp_path: Path,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    (file := tmp_path / "changing.py").write_text("def cut(images):\n    return images\n")
    found = load_function("changing:cut", tmp_path)
    before = found.source()
    file.write_text("def cut(images):\n    return -images\n")
    assert found.source()["code_sha256"] != before["code_sha256"] and found.made(before) and not found.is_repeatable


@pytest.mark.parametrize(("text", "message"), [
    ("no_such_module:f", "cannot be imported"), ("math:no_such", "cannot be imported"), ("math:pi", "is a float")])
def test_what_is_no_function(text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(InputError, match=message):
        load_function(text, tmp_path)


def test_a_lambda_needs_a_name_and_stays_in_this_process() -> None:
    with pytest.raises(InputError, match="Pass name="):
        as_segmenter(lambda images: images)
    with pytest.raises(InputError, match="workers=1"):
        pickle.dumps(as_segmenter(lambda images: images, "mine"))
    with pytest.raises(InputError, match="found int, expected a segmenter"):
        as_segmenter(3)  # type: ignore[arg-type]

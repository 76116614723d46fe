"""A look at a few images: what is printed of a right segmenter, and of one whose values or axes are mixed up."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

from cldm_runtime.evaluation.checking import check_segmenter
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from cldm_runtime.evaluation.segmenters.own_function import as_segmenter
from cldm_runtime.store import open_dataset
from segmenter_fixtures import MASKS, describe, read_greys, write_hearts


def lines_of(folder: Path, segmenter: object, **columns: object) -> str:
    with open_dataset(write_hearts(folder / "hearts.h5", **columns)) as dataset:
        return "\n".join(check_segmenter(dataset, segmenter).lines)


def test_a_right_one(tmp_path: Path) -> None:
    network = load_segmenter(describe(tmp_path))
    lines = lines_of(tmp_path, network)
    assert "the network sees 1 x 64 x 64 pixels with values from 0.05 to 0.95" in lines
    share = f"{100 * (MASKS == 1).mean():.2f} %"
    assert f"1 lv_cavity: {share} of the pixels, reference {share}" in lines
    assert "Dice over all of them: lv_cavity 1.00, myocardium 1.00, infarct 1.00" in lines and "note" not in lines


def test_values_in_another_order(tmp_path: Path) -> None:
    order = np.array([0, 2, 3, 1])
    lines = lines_of(tmp_path, as_segmenter(lambda images: order[read_greys(images, (1.0, 1.0))], "mine"))
    assert "label values look permuted: its 1 lies where the reference has 3 (infarct)" in lines


@pytest.mark.parametrize(("turn", "words"), [
    (lambda maps: maps.swapaxes(1, 2), "rows and columns swapped"), (lambda maps: maps[:, ::-1], "rows flipped"),
    (lambda maps: maps[:, :, ::-1], "columns flipped"),
    (lambda maps: maps[:, ::-1, ::-1], "rows flipped and columns flipped"),
    (lambda maps: maps[:, ::-1].swapaxes(1, 2), "rows and columns swapped and rows flipped")])
def test_axes_that_are_turned(turn, words: str, tmp_path: Path) -> None:
    lines = lines_of(tmp_path, as_segmenter(lambda images: turn(read_greys(images, (1.0, 1.0))), "mine"))
    assert f"look turned: with {words}, the lowest Dice of a region would be 1.00" in lines


def test_ten_images_spread_over_the_file(tmp_path: Path) -> None:
    masks = np.concatenate([MASKS] * 6)
    with open_dataset(write_hearts(tmp_path / "hearts.h5", masks)) as dataset:
        found = check_segmenter(dataset, as_segmenter(read_greys))
    assert len(found.rows) == 10 and (found.rows[0], found.rows[-1]) == (0, 23)
    assert np.array_equal(found.labels, masks[found.rows]) and found.frames is None

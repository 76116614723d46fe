"""The picture of a segmenter at work."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("PIL")

from PIL import Image

from cldm_runtime.evaluation.checking import check_segmenter
from cldm_runtime.evaluation.segmenters.load import load_segmenter
from cldm_runtime.evaluation.segmenters.own_function import as_segmenter
from cldm_runtime.report.segmenter_sheet import segmenter_sheet
from cldm_runtime.store import open_dataset
from segmenter_fixtures import DOMAIN, describe, read_greys, write_hearts


def sheet(folder: Path, segmenter: object) -> np.ndarray:
    with open_dataset(write_hearts(folder / "hearts.h5")) as dataset:
        data = segmenter_sheet(dataset, DOMAIN, check_segmenter(dataset, segmenter))
    return np.asarray(Image.open(BytesIO(data)))


def test_found_and_reference_have_the_same_outlines_where_they_agree(tmp_path: Path) -> None:
    picture = sheet(tmp_path, as_segmenter(read_greys))
    assert picture.shape[1] == 2 * (128 + 4)
    assert np.array_equal(picture[:128, :128], picture[:128, 132:260])
    cavity = np.all(picture[:128, :128] == DOMAIN.labels.colours[1], axis=-1)
    assert cavity.any()


def test_a_described_network_shows_its_frame(tmp_path: Path) -> None:
    """The image takes the middle half of a frame that is shown at the size of the image."""
    frame = "place = [64, 64]\npad = 0.0\norder = 0"
    picture = sheet(tmp_path, load_segmenter(describe(tmp_path, frame=frame, size=(128, 128))))
    seen = picture[:128, 264:392, 0]
    assert picture.shape[1] == 3 * 132 and not seen[:30].any() and seen[40:90, 40:90].all()

"""Label maps of a segmenter with the doubt of an ensemble."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.declared import Declaration
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import DatasetSpec, create_dataset, edit_dataset, open_dataset

SHAPE = (3, 4, 5)
DOMAIN = Declaration("toy", 3, {"wall": 1}).domain()
VARIANCE = np.linspace(0, 0.25, 2 * 60).reshape(2, 1, *SHAPE)
DICE = np.array([[0.5], [np.nan]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with create_dataset(tmp_path / "a.h5", DatasetSpec(DOMAIN, SHAPE, (1.0, 1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, *SHAPE)))
        writer.segmentation("drawn").append(masks=np.zeros((2, *SHAPE), np.uint8), variance=VARIANCE, sample_dice=DICE,
                                            channel_names=["wall"])
    return tmp_path / "a.h5"


def test_variance_reads_back_in_half_precision(file: Path) -> None:
    with open_dataset(file) as dataset:
        drawn = dataset.segmentation("drawn")
        assert np.array_equal(drawn.variance(), VARIANCE.astype(np.float16).astype(np.float32))
        assert drawn.variance(1).shape == (1, *SHAPE) and drawn.variance_names == ("wall",)
        assert np.array_equal(drawn.sample_dice, DICE.astype(np.float32), equal_nan=True)


def test_other_segmenters_have_none(file: Path) -> None:
    with edit_dataset(file) as editor:
        editor.segmentation("plain").append(masks=np.zeros((2, *SHAPE), np.uint8))
    with open_dataset(file) as dataset:
        assert dataset.segmentation("plain").sample_dice is None
        with pytest.raises(DatasetError, match="has no /segmentations/plain/variance"):
            dataset.segmentation("plain").variance()


@pytest.mark.parametrize(("shape", "names", "message"), [
    ((2, 1, 3, 4, 4), ["wall"], "expected"), ((2, 2, *SHAPE), ["wall"], "2 channels of variance, 1 names")])
def test_what_does_not_fit_the_images_is_not_written(file: Path, shape: tuple[int, ...], names: list[str],
                                                     message: str) -> None:
    with pytest.raises(DatasetError, match=message), edit_dataset(file) as editor:
        editor.segmentation("other").append(masks=np.zeros((2, *SHAPE), np.uint8), variance=np.zeros(shape),
                                            channel_names=names)


def test_a_file_whose_variance_has_another_grid_is_refused(file: Path) -> None:
    with h5py.File(file, "a") as opened:
        group = opened["segmentations/drawn"]
        del group["variance"]
        group.create_dataset("variance", data=np.zeros((2, 1, 3, 4, 4), np.float16))
    with pytest.raises(DatasetError, match="does not fit /images"):
        open_dataset(file)

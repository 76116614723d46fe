"""The agreement of drawn label maps, against sums over voxels; what a bundle must be to draw them."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.errors import BundleError
from cldm_runtime.generation.ensemble import EnsembleSegmenter, pairwise_dice


def packed(maps: np.ndarray) -> np.ndarray:
    return np.packbits(maps.reshape(*maps.shape[:2], -1), axis=2)


def test_mean_dice_of_every_two_maps() -> None:
    maps = np.random.default_rng(0).random((5, 3, 4, 5, 7)) < np.array([0.5, 0.1, 0.9])[:, None, None, None]
    expected = [[2 * (a & b).sum() / (a.sum() + b.sum()) for i, a in enumerate(channel) for b in channel[i + 1:]]
                for channel in maps.swapaxes(0, 1)]
    assert pairwise_dice(packed(maps)) == pytest.approx(np.mean(expected, axis=1))


def test_two_empty_maps_are_no_pair() -> None:
    maps = np.zeros((3, 2, 8), np.bool_)
    maps[0, 0, :4] = True  # against two empty ones: 0 and 0
    assert np.array_equal(pairwise_dice(packed(maps)), [0.0, np.nan], equal_nan=True)
    assert np.isnan(pairwise_dice(packed(np.ones((1, 1, 8), np.bool_)))).all()  # one map alone agrees with none


def test_a_bundle_of_images_is_refused(tiny_generator: Path) -> None:
    with pytest.raises(BundleError, match="draws no label maps of given images"):
        EnsembleSegmenter.load(tiny_generator)

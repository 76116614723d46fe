"""The picture of what a label VAE's dimensions mean."""

import io

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray

from cldm_runtime.domains.registry import get_domain
from cldm_trainer.export.anatomy.traversal import best_dimension, traversal_picture


def test_the_best_dimension_is_that_which_ranks_alike_in_either_direction() -> None:
    random = np.random.default_rng(0)
    means, values = random.normal(size=(50, 3)), random.uniform(size=50)
    means[:, 2] = -(values**3)
    values[:5] = np.nan
    assert best_dimension(means, values) == (2, pytest.approx(-1))


def test_each_row_walks_along_one_dimension_and_keeps_the_mean_of_the_others() -> None:
    domain, random, seen = get_domain("lge"), np.random.default_rng(0), []
    attributes = random.uniform(size=(40, 4))
    means = np.hstack([attributes * [1, -1, 1, 1], random.normal(size=(40, 1))])
    attributes[0, 1] = np.nan
    attributes[:, 2] = 0.3

    def decode(z: NDArray[np.floating]) -> NDArray[np.uint8]:
        seen.append(z)
        labels = np.zeros((len(z), 128, 128), np.uint8)
        labels[:, 40:90, 40:90], labels[:, 50:80, 50:80] = 2, 1
        return labels

    picture = matplotlib.image.imread(io.BytesIO(traversal_picture(decode, means, attributes, domain, (1.0, 1.0))))
    assert picture.ndim == 3 and picture[..., :3].std() > 0.1
    assert len(seen) == 3
    for row, z in zip((0, 1, 3), seen, strict=True):
        walked = np.diff(z[:, row])
        assert (walked > 0).all() or (row == 1 and (walked < 0).all())
        others = np.delete(z, row, axis=1)
        np.testing.assert_allclose(others, np.tile(np.delete(means[1:].mean(0), row), (len(z), 1)))

"""Label sets."""

import numpy as np
import pytest

from cldm_runtime.domains.labels import LabelSet
from cldm_runtime.errors import InputError

LABELS = LabelSet(("background", "wall", "scar"), {"muscle": (1, 2)}, ((0, 0, 0), (9, 9, 9), (255, 0, 0)))
MAP = np.array([[0, 1], [2, 1]], dtype=np.uint8)


def test_a_region_is_the_union_of_its_labels():
    np.testing.assert_array_equal(LABELS.region(MAP, "muscle"), [[False, True], [True, True]])


def test_one_hot_has_a_plane_for_each_label():
    planes = LABELS.one_hot(MAP[None])
    assert planes.shape == (1, 3, 2, 2)
    assert planes.dtype == np.float32
    np.testing.assert_array_equal(planes[0, 2], [[0, 0], [1, 0]])
    np.testing.assert_array_equal(planes.sum(axis=1), np.ones((1, 2, 2)))


def test_one_hot_of_volumes():
    assert LABELS.one_hot(np.zeros((2, 3, 4, 5), np.uint8)).shape == (2, 3, 3, 4, 5)


def test_known_values_pass():
    LABELS.check(MAP, "masks.npy")
    LABELS.check(MAP.astype(np.int64), "masks.npy")


@pytest.mark.parametrize("value", [3, -1])
def test_unknown_values_are_named(value):
    with pytest.raises(InputError, match=rf"masks.npy: unknown label values \[{value}\]. Known: 0 background"):
        LABELS.check(np.array([0, value]), "masks.npy")


def test_labels_must_be_integers():
    with pytest.raises(InputError, match="must be integers, found float64"):
        LABELS.check(np.zeros(3), "masks.npy")


def test_regions_cannot_be_changed():
    with pytest.raises(TypeError):
        LABELS.regions["muscle"] = (0,)

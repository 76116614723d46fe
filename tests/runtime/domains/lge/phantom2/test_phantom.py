"""The stacks of the second phantom."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.phantom import phantom_volume


@pytest.fixture(scope="module")
def volume():
    return phantom_volume(0, 3, "test")


def test_a_volume_is_a_pure_function_of_its_arguments(volume):
    again = phantom_volume(0, 3, "test")
    for name in ("image", "labels", "true_labels"):
        np.testing.assert_array_equal(getattr(volume, name), getattr(again, name))
    other = phantom_volume(0, 4, "test")
    assert other.image.shape != volume.image.shape or not np.array_equal(other.image, volume.image)


def test_it_is_a_stack_whose_heart_grows_from_the_apex(volume):
    area = (volume.true_labels > 0).sum(axis=(1, 2))
    assert volume.image.shape == volume.labels.shape == volume.true_labels.shape and 7 <= len(area) <= 12
    assert (area > 0).all() and area[0] < 0.6 * area[len(area) // 2]
    assert volume.image.dtype == np.float32 and np.isfinite(volume.image).all()
    assert 8 <= volume.spacing_mm[0] <= 13 and volume.spacing_mm[1] == volume.spacing_mm[2] <= 1.8


def test_labels_are_a_readers_unless_they_are_to_be_true(volume):
    assert not np.array_equal(volume.labels, volume.true_labels)
    true = phantom_volume(0, 3, "test", reader=False)
    np.testing.assert_array_equal(true.labels, volume.true_labels)
    np.testing.assert_array_equal(true.image, volume.image)

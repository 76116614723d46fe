"""Other images for the same label maps."""

import numpy as np
import pytest

from cldm_runtime.domains.lge.phantom2.body import anatomy_slice
from cldm_runtime.domains.lge.phantom2.patient import draw_patient, redraw_surroundings
from cldm_runtime.domains.lge.phantom2.phantom import phantom_volume
from cldm_runtime.domains.lge.phantom2.rerender import PHANTOM_WITH_TRUE_LABELS, rerender
from cldm_runtime.noise import Purpose, Stream


def test_a_repeat_has_the_size_of_the_volume_and_other_pixels():
    volume = phantom_volume(0, 1, "val")
    first, again, second = (rerender(0, 1, "val", repeat, [2, 4]) for repeat in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (2, *volume.image.shape[1:])
    assert all(np.corrcoef(image.ravel(), other.ravel())[0, 1] < 0.99
               for image, other in ((first, second), (first, volume.image[[2, 4]])))


@pytest.mark.parametrize("subset", ["train", "d8"])
def test_another_patient_around_the_heart_has_the_same_true_labels(subset):
    who = draw_patient(Stream(0, 5, Purpose.COHORT), subset)
    other = redraw_surroundings(who, Stream(0, 5, Purpose.COHORT, step=1), subset)
    for z in (0.1, 0.5, 0.95):
        one, two = (anatomy_slice(patient, z, (0.3, -0.2), 128) for patient in (who, other))
        np.testing.assert_array_equal(one.labels, two.labels)
        assert (one.tissue != two.tissue).mean() > 0.05


def test_the_phantom_with_true_labels_has_no_reader():
    volume = PHANTOM_WITH_TRUE_LABELS.draw(0, 1, "val")
    np.testing.assert_array_equal(volume.labels, volume.true_labels)

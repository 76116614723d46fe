"""The region that is painted anew, its seam, and what stays."""

import numpy as np
import pytest

from cldm_runtime.requests.painting import FEATHER_MM, MARGIN_MM, composed, painting_of

BEFORE = np.zeros((41, 61), np.uint8)
AFTER = BEFORE.copy()
AFTER[20, 30] = 1


def test_the_region_is_a_disc_in_mm_about_what_changes() -> None:
    painting = painting_of(BEFORE, AFTER, (1.0, 0.5))
    y, x = np.mgrid[:41, :61]
    distance = np.hypot(y - 20, (x - 30) * 0.5)
    np.testing.assert_array_equal(painting.region, distance <= MARGIN_MM)
    assert painting.weight[20, 30] == 1 and (painting.weight[distance > MARGIN_MM] == 0).all()
    assert (painting.weight[distance < MARGIN_MM - FEATHER_MM - 1] == 1).all()
    rim = painting.weight[painting.region & (distance > MARGIN_MM - 1)]
    assert (rim > 0).all() and (rim < 0.3).all()


def test_nothing_changes_where_no_label_does() -> None:
    painting, given = painting_of(BEFORE, BEFORE, (1.0, 1.0)), np.random.default_rng(0).random((1, 41, 61))
    assert not painting.region.any()
    np.testing.assert_array_equal(composed(painting, given, given + 1, given), given.astype(np.float32))


def test_outside_every_pixel_is_the_given_one_and_inside_the_difference_is_added() -> None:
    rng, painting = np.random.default_rng(1), painting_of(BEFORE, AFTER, (1.0, 1.0))
    given, painted, plain = rng.random((3, 2, 41, 61)).astype(np.float32)
    image = composed(painting, given, painted, plain)
    np.testing.assert_array_equal(image[:, ~painting.region], given[:, ~painting.region])
    assert image[1, 20, 30] == pytest.approx(painted[1, 20, 30])
    rim = painting.region & (painting.detail == 1)
    expected = given + painting.weight * (painted - plain)
    assert rim.any()
    np.testing.assert_allclose(image[:, rim], expected[:, rim], rtol=1e-6)
    ours, old, new, passed = (array[0, 20, 33] for array in (image, given, painted, plain))  # half of the detail
    assert ours == pytest.approx(old + painting.weight[20, 33] * (new - passed - 0.5 * (old - passed)))


def test_a_painted_over_pixel_holds_nothing_of_what_was_there() -> None:
    """Its share of the new image is 1, so neither the given value nor its noise shines through."""
    painting, zeros = painting_of(BEFORE, AFTER, (1.0, 1.0)), np.zeros((1, 41, 61))
    assert composed(painting, zeros + 0.9, zeros + 0.2, zeros + 0.7)[0, 20, 30] == pytest.approx(0.2)

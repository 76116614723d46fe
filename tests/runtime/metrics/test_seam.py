"""The border of a painted region, by hand."""

import numpy as np
import pytest

from cldm_runtime.metrics.seam import seam_ratio

SLOPE = np.tile(np.arange(20.0), (1, 20, 1))  # 1 a pixel along every row
REGION = np.zeros((20, 20), bool)
REGION[:, 8:] = True


def test_nothing_shows_where_nothing_was_changed() -> None:
    assert seam_ratio(SLOPE, SLOPE, REGION, (1.0, 1.0), 2.0) == 1
    assert np.isnan(seam_ratio(SLOPE, SLOPE, np.zeros_like(REGION), (1.0, 1.0), 2.0))
    assert np.isnan(seam_ratio(np.zeros_like(SLOPE), SLOPE, REGION, (1.0, 1.0), 2.0))


def test_a_step_at_the_border_is_counted_and_one_beyond_the_band_is_not() -> None:
    """The band is columns 7 to 9: one outside, two of the region. A step of 2 adds 1 to the slope at both its sides."""
    step = SLOPE + 2.0 * REGION
    assert seam_ratio(SLOPE, step, REGION, (1.0, 1.0), 2.0) == pytest.approx((4 + 4 + 1) / 3)
    far = SLOPE.copy()
    far[..., 15:] += 2.0
    assert seam_ratio(SLOPE, far, REGION, (1.0, 1.0), 2.0) == 1


def test_channels_are_summed_and_blur_is_less_than_1() -> None:
    both, flat = np.concatenate([SLOPE, 2.0 * SLOPE]), np.concatenate([SLOPE, np.zeros_like(SLOPE)])
    assert seam_ratio(both, flat, REGION, (1.0, 1.0), 2.0) == pytest.approx(1 / 5)

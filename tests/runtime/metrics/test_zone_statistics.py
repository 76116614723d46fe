"""Zones and their statistics on maps that can be counted by hand."""

import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.zone_statistics import (
    STATISTICS,
    high_pass_noise,
    interior,
    rings,
    statistics,
    zone_statistics,
)

NAMES = ("background", "disc", "dot")


def square_map() -> np.ndarray:
    """A square of 5 x 5 pixels in 11 x 11."""
    labels = np.zeros((11, 11), np.uint8)
    labels[3:8, 3:8] = 1
    return labels


def test_the_interior_leaves_out_the_border_of_a_label() -> None:
    assert interior(square_map(), (1,)).sum() == 9
    assert interior(square_map(), (2,)).sum() == 0
    assert interior(np.ones((4, 4), np.uint8), (1,)).sum() == 16  # beyond the image nothing is known


def test_two_labels_of_one_zone_have_no_border_between_them() -> None:
    labels = square_map()
    labels[3:8, 3:5] = 2
    assert interior(labels, (1, 2)).sum() == 9


def test_rings_are_counted_by_distance_in_mm() -> None:
    near, far = rings(square_map(), (1.0, 1.0), (0.0, 1.0, 2.0))
    assert near.sum() == 20  # the side neighbours
    assert far.sum() == 20 + 4  # two steps straight, and the corners at 1.41
    (wide,) = rings(square_map(), (2.0, 2.0), (0.0, 2.0))
    assert np.array_equal(wide, near)
    assert not any(ring.any() for ring in rings(np.zeros((4, 4), np.uint8), (1.0, 1.0)))


def test_statistics_of_known_pixels() -> None:
    found = dict(zip(STATISTICS, statistics(np.arange(5.0)), strict=True))
    assert found == pytest.approx({"mean": 2, "sd": 2**0.5, "p5": 0.2, "p25": 1, "p50": 2, "p75": 3, "p95": 3.8})
    assert np.isnan(statistics(np.arange(4.0))).all()


def test_columns_name_zone_and_statistic() -> None:
    image = np.where(square_map() == 1, 3.0, 1.0)
    columns, values = zone_statistics(image[None], square_map()[None], NAMES, (1.0, 1.0))
    found = dict(zip(columns, values[0], strict=True))
    assert (found["disc mean"], found["disc sd"], found["ring 0-2 mm mean"]) == (3.0, 0.0, 1.0)
    assert np.isnan(found["dot mean"]) and np.isnan(found["ring 20-40 mm mean"])
    with pytest.raises(InputError, match="expected the same"):
        zone_statistics(image[None], square_map()[None, :5], NAMES, (1.0, 1.0))


def test_white_noise_is_measured_in_spite_of_slopes_and_edges() -> None:
    noise = 0.03 * np.random.default_rng(0).standard_normal((3, 128, 128))
    anatomy = np.linspace(0, 1, 128)[None, :] + (np.arange(128) > 60)[:, None]
    assert high_pass_noise(noise + anatomy) == pytest.approx([0.03] * 3, rel=0.05)
    assert high_pass_noise(anatomy[None] + np.zeros((1, 128, 128)))[0] == pytest.approx(0.0, abs=1e-12)

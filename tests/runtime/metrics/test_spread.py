"""Spread within label maps and within bins, by hand."""

import numpy as np
import pytest

from cldm_runtime.metrics.spread import spread_in_bins, spread_of_maps

NAN = float("nan")


def test_within_maps_by_hand() -> None:
    # Variances of x: 2 and 8, of y: 0.5 and 2; the means of the maps differ and do not count.
    found = spread_of_maps(np.array([[0.0, 2], [10, 14]]), np.array([[1.0, 2], [10, 12]]))
    assert found.groups == 2
    assert found.reference_sd.value == pytest.approx(5**0.5) and found.synthetic_sd.value == pytest.approx(1.25**0.5)
    assert found.ratio.value == pytest.approx(0.5)
    assert (found.reference_mean.value, found.synthetic_mean.value, found.bias.value) == (6.5, 6.25, -0.25)


def test_maps_where_the_figure_is_not_defined_are_left_out() -> None:
    one = spread_of_maps(np.array([[0.0, 2, NAN], [NAN, NAN, 5]]), np.array([[0.0, 4], [1, 2]]))
    assert one.groups == 1 and one.ratio.value == 2.0 and np.isnan(one.ratio.low)
    assert spread_of_maps(np.full((2, 2), NAN), np.ones((2, 2))).groups == 0


def test_the_interval_draws_whole_maps() -> None:
    # Maps of ratio 1 and maps of ratio 3: a replicate with one kind alone is an end of the interval.
    x = np.tile([0.0, 2.0], (4, 1))
    y = np.array([[0.0, 2], [0, 2], [0, 6], [0, 6]])
    found = spread_of_maps(x, y)
    assert found.ratio.value == pytest.approx(5**0.5)
    assert (found.ratio.low, found.ratio.high) == pytest.approx((1.0, 3.0))


def test_within_bins_by_hand() -> None:
    # Bin 0: x 0, 2 and y 0, 1; bin 1: x 10, 14 and y 10, 12; the last slice is in no bin.
    x, y = np.array([0.0, 2, 10, 14, 99]), np.array([0.0, 1, 10, 12, -99])
    found = spread_in_bins(x, y, np.array([0, 0, 1, 1, -1]), np.array(list("abcde")))
    assert found.groups == 2 and found.ratio.value == pytest.approx(0.5)
    assert found.reference_sd.value == pytest.approx(5**0.5) and found.bias.value == pytest.approx((-0.5 - 1) / 2)


def test_the_sides_of_a_bin_may_be_other_slices() -> None:
    x, y = np.array([0.0, 2, NAN, NAN]), np.array([NAN, NAN, 0.0, 4])
    found = spread_in_bins(x, y, np.zeros(4, int), np.arange(4))
    assert found.groups == 1 and found.ratio.value == pytest.approx(2.0)
    assert spread_in_bins(x[:1], y[:1], np.zeros(1, int), np.arange(1)).groups == 0

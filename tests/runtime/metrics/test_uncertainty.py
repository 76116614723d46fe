"""Spread over the images of a condition, against errors worked out by hand and scipy's rank correlation."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from cldm_runtime.metrics.uncertainty import (
    attribute_spread,
    calibration_bins,
    condition_spread,
    disagreement,
    image_spread,
    pixel_calibration,
    pixel_tally,
    spearman,
)

NAN = math.nan


def test_pixels_of_three_images() -> None:
    mean, deviation = image_spread(np.array([[[0.0, 1]], [[0, 2]], [[0, 3]]]))
    assert mean.tolist() == [[0, 2]] and deviation.tolist() == [[0, 1]]


def test_disagreement_is_one_minus_the_share_of_the_most_frequent_label() -> None:
    labels = np.array([[1, 2, 0, 3], [1, 2, 0, 2], [1, 3, 1, 1], [1, 2, 1, 0]], np.uint8)
    mode, disputed = disagreement(labels, 4)
    assert mode.tolist() == [1, 2, 0, 0] and disputed.tolist() == [0, 0.25, 0.5, 0.75]


def test_spread_and_error_of_a_condition() -> None:
    found = condition_spread(np.array([1.0, 3, 5, 5]), np.array([4.0, 4, 5, 5]), np.array([7, 7, 9, 9]))
    assert found.conditions.tolist() == [7, 9] and found.images.tolist() == [2, 2]
    assert found.spread == pytest.approx([math.sqrt(2), 0]) and found.predicted == pytest.approx([math.sqrt(3), 0])
    assert found.error.tolist() == [-2, 0] and found.single == pytest.approx([math.sqrt((9 + 1) / 2), 0])


def test_what_is_undefined_is_left_out_and_counted() -> None:
    measured = np.array([1, NAN, 3, NAN, 2, NAN, NAN, 4.0, 6])
    reference = np.array([2, 2, 2, 2, 2, 2, NAN, NAN, NAN])
    found = condition_spread(measured, reference, np.array([0, 0, 0, 1, 1, 1, 2, 2, 2]))
    assert found.conditions.tolist() == [0] and found.images.tolist() == [2] and found.error.tolist() == [0]
    assert (found.n_reference_undefined, found.n_too_few, found.n_values_undefined) == (1, 1, 3)


def test_the_ratio_is_one_where_truth_is_one_more_draw() -> None:
    rng, images, scale = np.random.default_rng(2), 30, np.linspace(0.1, 2, 400)
    truth = np.repeat(rng.normal(size=400) * scale, images)
    values = rng.normal(size=400 * images) * np.repeat(scale, images)
    found = condition_spread(values, truth, np.repeat(np.arange(400), images))
    summary = attribute_spread(found, "size", "1", "mask", "all", 200)
    assert summary.n == 400 and summary.ratio.value == pytest.approx(1, abs=0.1)
    assert summary.ratio.low < 1 < summary.ratio.high and summary.rho.low > 0.3
    for point in summary.bins:
        assert point.rms_error.value == pytest.approx(point.rms_predicted, rel=0.3)
    assert [point.n for point in summary.bins] == [67, 67, 67, 67, 66, 66]
    assert summary.rms_error_single.value > summary.rms_error.value


def test_a_bias_raises_the_ratio_and_no_spread_leaves_it_undefined() -> None:
    values, groups = np.array([1.0, 3, 2, 4]), np.array([0, 0, 1, 1])
    biased = attribute_spread(condition_spread(values, np.array([2.0, 2, 6, 6]), groups), "a", "1", "mask", "all", 50)
    assert biased.ratio.value == pytest.approx(math.sqrt((0 + 9) / (3 + 3)))
    assert (biased.rms_spread.value, biased.rms_error.value) == pytest.approx((math.sqrt(2), math.sqrt(4.5)))
    agreed = attribute_spread(condition_spread(np.ones(4), np.zeros(4), groups), "a", "1", "mask", "all", 50)
    assert math.isnan(agreed.ratio.value) and agreed.rms_error.value == 1  # nothing was predicted, and all is wrong
    flat = attribute_spread(condition_spread(np.ones(4), np.ones(4), groups), "a", "1", "mask", "all", 50)
    assert math.isnan(flat.ratio.value) and flat.rms_error.value == 0 and math.isnan(flat.rho.value)


def test_no_condition_gives_no_figure() -> None:
    found = condition_spread(np.full(4, NAN), np.ones(4), np.array([0, 0, 1, 1]))
    summary = attribute_spread(found, "a", "1", "mask", "all", 50)
    assert (summary.n, summary.n_too_few, summary.bins) == (0, 2, ()) and math.isnan(summary.rms_error.value)


def test_bins_hold_equal_numbers_in_the_order_of_what_is_predicted() -> None:
    values = np.stack([-np.arange(10.0), np.arange(10.0)], axis=1).ravel()  # s = sqrt(2) c, p = sqrt(3) c
    found = condition_spread(values, np.repeat(np.arange(10.0), 2), np.repeat(np.arange(10), 2))
    low, high = calibration_bins(found)
    assert low.n == high.n == 5 and low.rms_error.value == pytest.approx(math.sqrt((0 + 1 + 4 + 9 + 16) / 5))
    assert low.rms_predicted == pytest.approx(math.sqrt(3) * low.rms_error.value)
    assert 0 <= low.rms_error.low < low.rms_error.value < low.rms_error.high <= 4


def test_rank_correlation_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    x = rng.integers(0, 6, 40).astype(float)  # with ties
    y = x + rng.normal(scale=3, size=40)
    found = spearman(x, y, 300)
    assert found.value == pytest.approx(spearmanr(x, y).statistic) and found.low < found.value < found.high
    assert found == spearman(x, y, 300) and math.isnan(spearman(x[:2], y[:2]).value)


def test_pixels_are_binned_by_disagreement() -> None:
    disputed = np.array([[0, 0, 0, 0, 0.3, 0.3, 0.5, 0.5]])
    wrong = np.array([[1, 0, 0, 0, 1, 0, 1, 0]], bool)
    found = pixel_calibration([pixel_tally(disputed, wrong), pixel_tally(disputed, wrong)], 20)
    assert (found.n, found.n_wrong) == (16, 6) and [point.n for point in found.bins] == [8, 4, 4]
    assert [(point.low, point.high) for point in found.bins] == [(0, 0), (0.2, 0.3), (0.4, 0.5)]
    assert [point.error_rate.value for point in found.bins] == [0.25, 0.5, 0.5]
    assert [point.disagreement for point in found.bins] == pytest.approx([0, 0.3, 0.5])
    assert [point.n_wrong for point in found.bins] == [2, 2, 2]
    assert found.unanimous_wrong.value == pytest.approx(2 / 6)
    assert found.calibration_error.value == pytest.approx((8 * 0.25 + 4 * 0.2) / 16)


def test_intervals_of_pixels_run_over_conditions() -> None:
    right, false = pixel_tally(np.zeros(4), np.zeros(4, bool)), pixel_tally(np.zeros(4), np.ones(4, bool))
    rate = pixel_calibration([right, false], 200).bins[0].error_rate
    assert (rate.value, rate.low, rate.high) == (0.5, 0, 1)
    alone = pixel_calibration([right], 20)
    assert math.isnan(alone.unanimous_wrong.value) and [(point.n, point.n_wrong) for point in alone.bins] == [(4, 0)]


def test_intervals_run_over_patients_where_they_are_known() -> None:
    """Patient a: no error; b: an error of 1 in every condition. Two patients say less than twenty conditions."""
    reference, patients = np.zeros(40), np.repeat(["a", "b"], 20)
    values = np.repeat([0.0, 1.0], 20) + np.tile([-0.1, 0.1], 20)
    conditions = np.repeat(np.arange(20), 2)
    by_patient, by_condition = (
        attribute_spread(condition_spread(values, reference, conditions, names), "a", "1", "mask", "all", 500)
        for names in (patients, None))
    assert (by_patient.rms_error.low, by_patient.rms_error.high) == pytest.approx((0.0, 1.0), abs=1e-6)
    assert 0.4 < by_condition.rms_error.low < by_condition.rms_error.high < 0.9
    assert by_patient.rms_error.value == by_condition.rms_error.value == pytest.approx(math.sqrt(0.5))


def test_rank_correlation_draws_whole_clusters() -> None:
    """Within each patient x and y agree; between the two they do not: only draws of both patients see it."""
    x, y = np.arange(8.0), np.array([4, 5, 6, 7, 0, 1, 2, 3.0])
    found = spearman(x, y, 200, clusters=np.repeat(["a", "b"], 4))
    assert found.value == pytest.approx(spearmanr(x, y).statistic) and found.high == pytest.approx(1.0)
    assert spearman(x, y, 200).high < 0.8


def test_pixels_of_a_patient_are_drawn_together() -> None:
    right, false = pixel_tally(np.zeros(4), np.zeros(4, bool)), pixel_tally(np.zeros(4), np.ones(4, bool))
    rate = pixel_calibration([right] * 9 + [false] * 9, 200, clusters=np.repeat(["a", "b"], 9)).bins[0].error_rate
    assert (rate.value, rate.low, rate.high) == (0.5, 0, 1)

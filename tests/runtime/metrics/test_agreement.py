"""Golden values: hand numbers, scipy's regression, and the worked example of Shrout and Fleiss (1979)."""

import math

import numpy as np
import pytest
from scipy.stats import linregress

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.agreement import (
    agreement,
    agreement_difference,
    clustered_rate,
    mean_estimate,
    rate_estimate,
)

SHROUT_FLEISS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])


def pairs(n=80, seed=0):
    random = np.random.default_rng(seed)
    x = random.uniform(0, 1, n)
    return x, 0.8 * x + 0.05 + random.normal(0, 0.1, n)


def estimates(found):
    return [number for estimate in (found.r2, found.slope, found.intercept, found.bias, found.icc, found.mae)
            for number in (estimate.value, estimate.low, estimate.high)]


def icc_2_1(ratings) -> float:
    """ICC(2,1) of (targets, raters), by the mean squares of Shrout and Fleiss: what the runtime is compared with."""
    table = np.asarray(ratings, dtype=np.float64)
    n, k = table.shape
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    between_rows = k * ((rows - grand) ** 2).sum() / (n - 1)
    between_columns = n * ((columns - grand) ** 2).sum() / (k - 1)
    residual = ((table - rows[:, None] - columns[None] + grand) ** 2).sum() / ((n - 1) * (k - 1))
    total = between_rows + (k - 1) * residual + k * (between_columns - residual) / n
    return float((between_rows - residual) / total)


def test_hand_numbers():
    found = agreement([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    assert found.r2.value == pytest.approx(1)
    assert (found.slope.value, found.intercept.value) == (pytest.approx(2), pytest.approx(0))
    assert (found.bias.value, found.mae.value) == (pytest.approx(2), pytest.approx(2))
    # differences 1, 2, 3: standard deviation 1
    assert (found.limit_low.value, found.limit_high.value) == (pytest.approx(0.04), pytest.approx(3.96))
    assert (found.reference_low, found.reference_high, found.n) == (1.0, 3.0, 3)


def test_regression_equals_scipy():
    x, y = pairs()
    found, expected = agreement(x, y), linregress(x, y)
    assert found.r2.value == pytest.approx(expected.rvalue**2)
    assert found.slope.value == pytest.approx(expected.slope)
    assert found.intercept.value == pytest.approx(expected.intercept)


def test_a_large_offset_costs_no_digits():
    x, y = pairs()
    assert agreement(x + 1e6, y + 1e6).r2.value == pytest.approx(agreement(x, y).r2.value, rel=1e-6)


def test_icc_of_the_published_example():
    assert icc_2_1(SHROUT_FLEISS) == pytest.approx(0.2898, abs=5e-5)


def test_icc_of_pairs_equals_the_general_formula():
    x, y = pairs()
    assert agreement(x, y).icc.value == pytest.approx(icc_2_1(np.stack([x, y], axis=1)))


def test_a_constant_bias_leaves_r2_and_lowers_icc():
    x, _ = pairs()
    found = agreement(x, x + 0.3)
    assert found.r2.value == pytest.approx(1)
    assert found.icc.value < 0.75
    assert found.bias.value == pytest.approx(0.3)


def test_undefined_pairs_are_left_out_and_counted():
    nan = math.nan
    found = agreement([0.1, 0.2, 0.3, nan, nan, 0.4], [0.1, 0.2, 0.4, 0.5, nan, nan])
    assert (found.n, found.n_reference_undefined, found.n_measured_undefined, found.n_excluded) == (3, 2, 1, 3)


@pytest.mark.parametrize("x", [[], [0.1, 0.2], [0.5, 0.5, 0.5, 0.5]])
def test_too_little_to_correlate_is_nan(x):
    assert math.isnan(agreement(x, x).r2.value)


@pytest.mark.parametrize("constant", [0.3, 0.7, 1.1, 2.3, 7.7])
def test_the_rounding_of_a_constant_far_from_the_reference_is_no_variance(constant):
    assert math.isnan(agreement([0.1, 0.101, 0.1033, 0.107, 0.11], [constant] * 5).r2.value)


def test_the_interval_is_deterministic_and_near_the_analytic_one():
    x, y = pairs(400)
    found = agreement(x, y, seed=3)
    assert found == agreement(x, y, seed=3)
    assert found.bias.low != agreement(x, y, seed=4).bias.low
    half = 1.96 * (y - x).std(ddof=1) / 20
    assert found.bias.low == pytest.approx(found.bias.value - half, abs=0.15 * half)
    assert found.bias.high == pytest.approx(found.bias.value + half, abs=0.15 * half)


def test_patients_are_drawn_whole():
    # Ten samples a patient that all say the same thing are worth one: the interval is about sqrt 10 times wider.
    x, y = pairs(40)
    x, y, patients = np.repeat(x, 10), np.repeat(y, 10), np.repeat(np.arange(40), 10)
    by_sample, by_patient = agreement(x, y), agreement(x, y, patients)
    ratio = (by_patient.bias.high - by_patient.bias.low) / (by_sample.bias.high - by_sample.bias.low)
    assert (by_sample.n_clusters, by_patient.n_clusters) == (400, 40)
    assert ratio == pytest.approx(math.sqrt(10), rel=0.15)


def test_one_patient_has_no_interval():
    x, y = pairs(20)
    found = agreement(x, y, np.zeros(20))
    assert math.isfinite(found.r2.value) and math.isnan(found.r2.low)


def test_mean_ignores_nan():
    assert mean_estimate([1.0, 3.0, math.nan]).value == 2.0
    assert math.isnan(mean_estimate([math.nan]).value)


def test_rate_is_wilsons_interval():
    # 6 of 30, from the closed formula by hand: (0.0951, 0.3731).
    found = rate_estimate(6, 30)
    assert (found.value, found.low, found.high) == pytest.approx((0.2, 0.0951, 0.3731), abs=1e-4)
    assert rate_estimate(0, 30).low == 0 and rate_estimate(0, 30).high > 0.1
    assert math.isnan(rate_estimate(0, 0).value)


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match="one length"):
        agreement([1.0, 2.0], [1.0])


def test_the_interval_does_not_depend_on_how_many_replicates_are_held_at_a_time(monkeypatch):
    x, y = pairs(20)
    whole = agreement(x, y, replicates=50)
    monkeypatch.setattr("cldm_runtime.metrics.agreement._BLOCK", 60)  # 3 replicates of 20 samples
    parts = agreement(x, y, replicates=50)
    np.testing.assert_allclose(estimates(parts), estimates(whole), rtol=1e-12)  # blocks are summed in another order


def test_a_rate_is_drawn_by_patient_and_not_by_slice() -> None:
    hits, patients = np.repeat([1, 0], 50), np.repeat(["a", "b"], 50)
    rate = clustered_rate(hits, patients)
    assert (rate.value, rate.low, rate.high) == (0.5, 0.0, 1.0)  # two patients say next to nothing
    assert clustered_rate(hits) == rate_estimate(50, 100)  # a hundred independent slices would


def test_a_rate_of_none_or_all_is_wilsons_of_the_patients() -> None:
    assert clustered_rate(np.zeros(40), np.repeat(["a", "b", "c", "d"], 10)) == rate_estimate(0, 4)
    assert clustered_rate(np.ones(40), np.repeat(["a", "b", "c", "d"], 10)) == rate_estimate(4, 4)
    assert np.isnan(clustered_rate([]).value)


def test_the_difference_of_two_measurements_is_that_of_their_agreements() -> None:
    rng = np.random.default_rng(0)
    x = rng.random(60)
    y, z = x + 0.1 * rng.standard_normal(60), 0.5 * x + 0.2
    patients = np.arange(60) // 6
    found, one, other = agreement_difference(x, y, z, patients), agreement(x, y, patients), agreement(x, z, patients)
    assert (found.n, found.n_clusters) == (60, 10)
    for name in ("r2", "slope", "bias", "icc", "mae"):
        expected = getattr(other, name).value - getattr(one, name).value
        assert getattr(found, name).value == pytest.approx(expected), name
    assert agreement_difference(x, y, y, patients).r2.high == 0.0  # the same clusters are drawn for both


def test_a_difference_leaves_out_what_one_of_the_two_lacks() -> None:
    x = np.arange(6.0)
    found = agreement_difference(x, np.where(x == 2, np.nan, x), np.where(x == 4, np.nan, x + 1))
    assert found.n == 4 and found.bias.value == pytest.approx(1.0)

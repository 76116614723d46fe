"""Paired differences: numbers by hand, scipy as a reference, and coverage counted over many comparisons."""

import math

import numpy as np
import pytest
from scipy import stats

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.paired import exchanged, paired_difference, paired_differences

NAN = math.nan


def test_means_and_shares_by_hand() -> None:
    """Differences 0.2, 0, -0.1, 0.3: mean 0.1; better in two, equal in one."""
    found = paired_difference([0.9, 0.5, 0.4, 0.8, NAN], [0.7, 0.5, 0.5, 0.5, 0.1])
    assert (found.n, found.n_clusters) == (4, 4)
    assert (found.one, found.other) == pytest.approx((0.65, 0.55))
    assert found.difference.value == pytest.approx(0.1) and found.share_better == pytest.approx(2.5 / 4)


def test_lower_may_be_better() -> None:
    one, other = [1.0, 1, 2, 5], [2.0, 3, 3, 5]
    found = paired_difference(one, other, lower_is_better=True)
    assert found.difference.value == pytest.approx(-1) and found.share_better == pytest.approx(3.5 / 4)
    assert found.probability_better > 0.99 > 0.01 > paired_difference(one, other).probability_better


def test_the_interval_is_that_of_scipy() -> None:
    """scipy.stats.bootstrap 1.16, percentile method, on the differences."""
    rng = np.random.default_rng(3)
    one, other = rng.random(80), rng.random(80) - 0.1
    found = paired_difference(one, other, replicates=20_000).difference
    wanted = stats.bootstrap((one - other,), np.mean, n_resamples=20_000, method="percentile",
                             random_state=0).confidence_interval
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=0.003)


def test_whole_patients_are_drawn() -> None:
    """Ten equal slices of each of five patients carry the information of five samples, not of fifty."""
    differences = np.array([0.1, -0.2, 0.3, 0.0, 0.2])
    few = paired_difference(differences, np.zeros(5)).difference
    many = paired_difference(np.repeat(differences, 10), np.zeros(50), np.repeat(np.arange(5), 10)).difference
    assert (many.low, many.high) == pytest.approx((few.low, few.high))


def test_equal_figures_differ_by_nothing() -> None:
    values = np.random.default_rng(0).random(30)
    found = paired_difference(values, values)
    assert found.difference == found.simultaneous and (found.difference.low, found.difference.high) == (0, 0)
    assert found.probability_better == found.share_better == 0.5


def test_without_a_sample_or_with_one_cluster_there_is_no_interval() -> None:
    empty, single = paired_difference([NAN], [1.0]), paired_difference([1.0, 2], [0.0, 0], ["a", "a"])
    assert empty.n == 0 and math.isnan(empty.difference.value) and math.isnan(empty.probability_better)
    assert single.difference.value == 1.5 and math.isnan(single.difference.low) and math.isnan(single.simultaneous.low)


def test_the_other_one_first() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.random(40), rng.random(40)
    found, wanted = exchanged(paired_difference(one, other)), paired_difference(other, one)
    assert (found.one, found.other, found.share_better) == (wanted.one, wanted.other, wanted.share_better)
    for ours, theirs in ((found.difference, wanted.difference), (found.simultaneous, wanted.simultaneous)):
        assert (ours.value, ours.low, ours.high) == pytest.approx((theirs.value, theirs.low, theirs.high))
    assert found.probability_better == pytest.approx(wanted.probability_better)


def test_one_bin_alone_is_what_it_is_by_itself() -> None:
    rng = np.random.default_rng(1)
    one, other, chosen = rng.random(60), rng.random(60), np.arange(60) < 20
    both = paired_differences(one, other, [chosen, ~chosen])
    assert both[0].difference.value == pytest.approx((one - other)[:20].mean()) and both[0].n == 20
    assert both[0].simultaneous.low < both[0].difference.low < both[0].difference.high < both[0].simultaneous.high


def test_bins_with_few_samples_are_not_compared_together() -> None:
    rng = np.random.default_rng(1)
    found = paired_differences(rng.random(30), rng.random(30), [np.arange(30) < 25, np.arange(30) >= 25], fewest=10)
    assert math.isfinite(found[0].simultaneous.low) and math.isnan(found[1].simultaneous.low)


def test_among_many_bins_of_equal_segmenters_five_comparisons_in_a_hundred_find_a_difference() -> None:
    """200 comparisons in 8 bins of 40 samples: alone, most have a bin whose interval leaves 0 out by chance."""
    rng, bins = np.random.default_rng(5), [np.arange(320) // 40 == number for number in range(8)]
    alone = together = 0
    for number in range(200):
        found = paired_differences(rng.random(320), rng.random(320), bins, replicates=300, seed=number)
        alone += any(each.difference.low > 0 or each.difference.high < 0 for each in found)
        together += any(each.simultaneous.low > 0 or each.simultaneous.high < 0 for each in found)
    assert alone > 40 and 2 <= together <= 22


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match="one length"):
        paired_difference([1.0, 2], [1.0])

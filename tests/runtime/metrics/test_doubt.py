"""Calibration, detection of errors, selection and energy distance, against brute force and scikit-learn."""


import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.doubt import (
    BINS,
    DoubtTally,
    case_doubt,
    minority_share,
    near_region,
    selective_dice,
)

RNG = np.random.default_rng(5)
SHARE = RNG.integers(0, 16, 4000) / 30  # 0 to 15 of 30 label maps differ
WRONG = RNG.random(4000) < SHARE * RNG.uniform(0.5, 1.2, 4000)
VARIANCE = SHARE * (1 - SHARE)


def figures(*parts):
    tally = DoubtTally()
    for part in parts or (slice(None),):
        tally.add(VARIANCE[part], WRONG[part])
    return tally.figures()


def test_the_share_of_an_ensemble_that_differs_is_found_in_its_variance():
    np.testing.assert_allclose(minority_share(VARIANCE), SHARE, atol=1e-7)
    assert minority_share(np.array([0.0, 0.25, 0.2501])).tolist() == [0.0, 0.5, 0.5]


def test_the_reliability_curve_is_that_of_brute_force():
    found = figures()
    for number, each in enumerate(found.bins):
        inside = np.floor(np.minimum(SHARE * 2 * BINS + 1e-9, BINS - 1)) == number
        assert each.n == inside.sum() and each.wrong == pytest.approx(WRONG[inside].mean())
        assert each.doubt == pytest.approx(SHARE[inside].mean(), abs=2e-3)
    expected = sum(each.n * abs(each.wrong - each.doubt) for each in found.bins) / 4000
    assert found.ece == pytest.approx(expected) and found.n == 4000 and found.wrong == WRONG.mean()


def test_a_calibrated_doubt_has_a_small_error_and_a_stubborn_one_a_large_one():
    tally, share = DoubtTally(), np.repeat([0.1, 0.3], 10_000)
    right = np.concatenate([np.arange(10_000) < 1000, np.arange(10_000) < 3000])
    tally.add(share * (1 - share), right)
    assert tally.figures().ece < 1e-3
    stubborn = DoubtTally()
    stubborn.add(np.zeros(100), np.arange(100) < 40)
    assert stubborn.figures().ece == pytest.approx(0.4) and stubborn.figures().auc == 0.5


def test_the_auc_is_that_of_all_pairs_and_of_scikit_learn():
    found = figures().auc
    wrong, right = VARIANCE[WRONG][:, None], VARIANCE[~WRONG][None]
    assert found == pytest.approx(((wrong > right) + 0.5 * (wrong == right)).mean(), abs=1e-9)
    sklearn = pytest.importorskip("sklearn.metrics")
    assert found == pytest.approx(sklearn.roc_auc_score(WRONG, VARIANCE), abs=1e-9)


def test_volumes_are_added_one_by_one_and_half_precision_is_enough():
    assert figures(slice(0, 900), slice(900, 4000)) == figures()
    half = DoubtTally()
    half.add(VARIANCE.astype(np.float16), WRONG)
    assert half.figures().auc == pytest.approx(figures().auc, abs=1e-3)


def test_what_is_undefined_is_nan_and_what_is_no_variance_is_refused():
    empty, perfect = DoubtTally().figures(), DoubtTally()
    assert np.isnan([empty.ece, empty.auc, empty.wrong]).all()
    perfect.add(np.zeros(5), np.zeros(5, bool))
    assert perfect.figures().ece == 0 and np.isnan(perfect.figures().auc)
    for bad in (np.full(5, 0.3), np.full(5, np.nan), np.full(5, -0.1), np.zeros(4)):
        with pytest.raises(InputError, match="Expected the variance of 0 and 1"):
            DoubtTally().add(bad, np.zeros(5, bool))


def test_the_most_certain_cases_are_chosen():
    dice, doubt = np.array([0.9, 0.2, np.nan, 0.8, 0.5]), np.array([0.1, 9.0, 0.0, 0.2, 0.3])
    half, most, nearly, every = selective_dice(dice, doubt)
    assert (half.n, half.dice) == (2, pytest.approx(0.85)) and (most.n, most.dice) == (4, pytest.approx(0.6))
    assert (nearly.n, every.n) == (4, 4)
    assert selective_dice(np.array([np.nan]), np.array([0.0]))[0].n == 0


def test_the_doubt_of_a_case_is_relative_to_its_answer():
    answer = np.array([True, True, False, False])
    assert case_doubt(np.array([0.1, 0.1, 0.2, 0.0]), answer) == pytest.approx(0.2)
    assert case_doubt(np.zeros(4), ~answer & answer) == 0.0
    assert case_doubt(np.array([0.1, 0, 0, 0]), ~answer & answer) == np.inf


def test_near_is_within_three_voxels_of_anything():
    nothing = np.zeros((15, 15, 15), bool)
    variance, answer = np.zeros(nothing.shape), nothing.copy()
    variance[7, 7, 7] = 0.2
    assert near_region(variance, answer, nothing).sum() == 7**3 and not near_region(0 * variance, answer, nothing).any()

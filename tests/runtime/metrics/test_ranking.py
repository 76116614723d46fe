"""Kendall's tau-b, against scipy's (scipy 1.x, `stats.kendalltau`) and by hand."""

import numpy as np
import pytest
from scipy import stats

from cldm_runtime.metrics.ranking import kendall_tau


def test_by_hand() -> None:
    assert kendall_tau([1, 2, 3, 4], [10, 20, 30, 40]) == 1.0
    assert kendall_tau([1, 2, 3, 4], [4, 3, 2, 1]) == -1.0
    assert kendall_tau([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx((5 - 1) / 6)  # one of six pairs is exchanged


def test_ties_are_counted_as_scipy_counts_them() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 5, (2, 20, 9))  # few values: many ties
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(kendall_tau(x, y), expected, atol=1e-12)


def test_what_is_undefined_in_one_is_left_out_of_both() -> None:
    assert kendall_tau([1, np.nan, 3, 4, 2], [1, 9, 3, 4, np.nan]) == 1.0
    assert np.isnan(kendall_tau([1, 2, np.nan], [1, 2, 3]))  # two are too few
    assert np.isnan(kendall_tau([1, 1, 1], [1, 2, 3]))

"""Quantile tables and their correlation, against numbers of a known distribution."""

import numpy as np
import pytest

from cldm_runtime.domains.acquisition.distribution import QuantileTable, fit_correlation, fit_table, triangle_factor

TABLE = QuantileTable((-1.0, 0.0, 2.0), (1.0, 2.0, 6.0))


def test_a_table_is_linear_and_goes_on_beyond_its_ends() -> None:
    assert TABLE.value(np.array([-1, -0.5, 1, 3])).tolist() == [1, 1.5, 4, 8]
    assert TABLE.value(np.array([-5.0])).tolist() == [0]  # -3, and no value is below 0
    assert TABLE.score(np.array([1.5, 4, 8, 0])).tolist() == [-0.5, 1, 3, -2]
    assert np.isnan(TABLE.score(np.array([np.nan]))).all()


def test_the_table_of_normal_numbers_is_their_mean_and_deviation() -> None:
    values = 5.0 + 0.5 * np.random.default_rng(0).standard_normal(200_000)
    fitted = fit_table(values)
    np.testing.assert_allclose(fitted.value(np.array([-3.0, -1.0, 0.0, 1.0, 3.0])), [3.5, 4.5, 5, 5.5, 6.5], atol=0.02)


def test_constant_and_missing_values_make_a_valid_table() -> None:
    for values in (np.full(9, 0.3), np.array([np.nan, 0.3]), np.array([])):
        fitted = fit_table(values)
        assert not fitted.faults() and fitted.value(np.zeros(1)) == pytest.approx([0.3 if values.size else 0], abs=1e-5)


def test_faulty_tables_are_named() -> None:
    assert QuantileTable((0.0, 1.0), (2.0, 2.0)).faults() and QuantileTable((0.0,), (2.0,)).faults()
    assert not TABLE.faults()


def test_correlation_is_that_of_the_ranks() -> None:
    random = np.random.default_rng(0)
    x, other = random.standard_normal((2, 50_000))
    columns = {"a": np.exp(x), "b": 0.6 * x + 0.8 * other, "constant": np.ones(50_000)}
    found = fit_correlation(columns)
    np.testing.assert_allclose(found, [[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1]], atol=0.03)
    np.testing.assert_allclose(triangle_factor(found) @ triangle_factor(found).T, found, atol=1e-12)


def test_an_impossible_correlation_is_refused() -> None:
    with pytest.raises(ValueError, match="not positive definite"):
        triangle_factor(np.array([[1.0, 2.0], [2.0, 1.0]]))

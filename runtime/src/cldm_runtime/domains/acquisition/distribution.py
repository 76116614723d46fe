"""How a cohort's images were acquired, as a distribution that every image's own acquisition is drawn from.

Symbols: v_j the j-th value of an image, e_j its independent standard normal numbers, R the correlation of the values'
normal scores, L its Cholesky factor (R = L L^T).

    score_j = (L e)_j,    v_j = Q_j(score_j)

a Gaussian copula. Q_j is linear between the points of a table, and goes on linearly beyond its ends; no value is below
0. The table holds the cohort's quantiles, and nothing of a single image.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .band import Array

PROBABILITIES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_LEAST_RISE = 1e-6  # of a table between two of its points: so that every value has one score
_SHRINKAGE = 0.02  # of the correlation, which keeps it positive definite
_DIGITS = 6


@dataclass(frozen=True)
class QuantileTable:
    """Q of one value: it takes `values[k]` at the standard normal score `scores[k]`; both rise."""

    scores: tuple[float, ...]
    values: tuple[float, ...]

    def value(self, score: NDArray[np.floating]) -> Array:
        """Q(score), at least 0."""
        return np.maximum(_interpolate(score, self.scores, self.values), 0.0)

    def score(self, value: NDArray[np.floating]) -> Array:
        """The score that has this value. NaN gives NaN."""
        return _interpolate(value, self.values, self.scores)

    def faults(self) -> list[str]:
        """Why this is no table; empty for a valid one."""
        rising = all(np.diff(column).min(initial=np.inf) > 0 for column in (self.scores, self.values))
        return [] if len(self.scores) == len(self.values) >= 2 and rising else [
            f"found {len(self.scores)} scores and {len(self.values)} values, expected at least two of each, rising"]


def _interpolate(x: NDArray[np.floating], points: tuple[float, ...], values: tuple[float, ...]) -> Array:
    """Linear between the points, and beyond the ends as between the last two."""
    at, of = np.asarray(points, dtype=np.float64), np.asarray(values, dtype=np.float64)
    x = np.asarray(x, dtype=np.float64)
    k = np.clip(np.searchsorted(at, x) - 1, 0, len(at) - 2)
    return np.asarray(of[k] + (x - at[k]) * (of[k + 1] - of[k]) / (at[k + 1] - at[k]), dtype=np.float64)


def fit_table(values: NDArray[np.floating]) -> QuantileTable:
    """The table of (N,) values; NaN is left out. Where a quantile does not rise, it is raised a little."""
    from scipy.special import ndtri  # here, because it takes 0.1 s to import

    finite = np.asarray(values, dtype=np.float64)[np.isfinite(values)]
    quantiles = np.quantile(finite, PROBABILITIES) if finite.size else np.zeros(len(PROBABILITIES))
    rising = [float(quantiles[0])]
    for quantile in quantiles[1:]:
        rising.append(max(float(quantile), rising[-1] + _LEAST_RISE))
    return QuantileTable(tuple(round(float(ndtri(p)), _DIGITS) for p in PROBABILITIES),
                         tuple(round(value, _DIGITS) for value in rising))


def fit_correlation(columns: Mapping[str, NDArray[np.floating]]) -> Array:
    """(V, V) correlation of the normal scores of V values, each (N,). 0 for a value that is constant or has too few
    pairs."""
    scores = [_normal_scores(np.asarray(column, dtype=np.float64)) for column in columns.values()]
    correlation = np.eye(len(scores))
    for i, first in enumerate(scores):
        for j, second in enumerate(scores[:i]):
            both = np.isfinite(first) & np.isfinite(second)
            spread = np.std(first[both]) * np.std(second[both]) if both.any() else 0.0
            if spread > 0:
                found = np.mean((first[both] - first[both].mean()) * (second[both] - second[both].mean())) / spread
                correlation[i, j] = correlation[j, i] = (1.0 - _SHRINKAGE) * found
    return correlation


def _normal_scores(values: Array) -> Array:
    """(N,) scores of the mean ranks, NaN where a value is."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    finite, scores = np.isfinite(values), np.full(len(values), np.nan)
    if finite.any():
        scores[finite] = ndtri((rankdata(values[finite]) - 0.5) / np.count_nonzero(finite))
    return scores


def triangle_factor(correlation: Array) -> Array:
    """L of a correlation. Raises ValueError where it is not positive definite."""
    try:
        return np.asarray(np.linalg.cholesky(correlation), dtype=np.float64)
    except np.linalg.LinAlgError as error:
        raise ValueError("the correlation is not positive definite") from error

"""Whether one segmenter is better than another on the same samples.

| symbol | here |
|---|---|
| a, b | a figure of each sample by one segmenter, by the other |
| d | the mean of a - b, over the samples where both are defined |
| d*, d*_k | d of a bootstrap replicate, which draws whole clusters for both segmenters; d* in bin k |
| P | share of replicates in which the mean of the first is the better one; equal means count half |
| W | share of samples in which the first is the better one; equal samples count half |

The interval of d is the percentile interval. Over K bins, some interval leaves 0 out by chance; the simultaneous
interval d_k -+ q s_k does so in 5 % of all comparisons: s_k is the standard deviation of d*_k, q the 95th percentile of
max_k |d*_k - d_k| / s_k (Westfall and Young, Resampling-Based Multiple Testing, 1993).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .agreement import Estimate, drawn_statistics

Values = NDArray[np.float64]
_LEVEL = 95.0
_UNKNOWN = Estimate(math.nan, math.nan, math.nan)
_EQUAL = 1e-12  # means that differ by less are equal: sums of the same numbers in another order


@dataclass(frozen=True)
class PairedDifference:
    """Means of one and other, and d, P and W, over the `n` samples in `n_clusters` clusters where both are defined;
    NaN for none. `simultaneous` has the value of `difference`; NaN where the bins were not compared together."""

    n: int
    n_clusters: int
    one: float
    other: float
    difference: Estimate
    probability_better: float
    share_better: float
    simultaneous: Estimate = _UNKNOWN


def paired_difference(one: ArrayLike, other: ArrayLike, clusters: ArrayLike | None = None, *,
                      lower_is_better: bool = False, replicates: int = 1000, seed: int = 0) -> PairedDifference:
    """Of two figures (N,) of the same samples; clusters (N,) names the unit of each. Raises InputError for other
    shapes."""
    whole = np.ones(np.shape(one), dtype=bool)
    return paired_differences(one, other, [whole], clusters, lower_is_better=lower_is_better, replicates=replicates,
                              seed=seed)[0]


def paired_differences(one: ArrayLike, other: ArrayLike, bins: Sequence[NDArray[np.bool_]],
                       clusters: ArrayLike | None = None, *, lower_is_better: bool = False, fewest: int = 0,
                       replicates: int = 1000, seed: int = 0) -> list[PairedDifference]:
    """The same in each of several bins (N,), with simultaneous intervals over those that hold at least `fewest` samples
    and two clusters. A replicate draws the same clusters for all bins."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    names = np.arange(a.size) if clusters is None else np.asarray(clusters)
    if not a.shape == b.shape == names.shape or a.ndim != 1 or any(each.shape != a.shape for each in bins):
        raise InputError(f"paired difference: figures of shape {a.shape} and {b.shape}, clusters of {names.shape} and "
                         "bins must be one-dimensional and of one length.")
    known = np.isfinite(a) & np.isfinite(b)
    kept = np.stack([each & known for each in bins], axis=1)
    sums = np.concatenate([kept, np.where(kept, np.where(known, a - b, 0.0)[:, None], 0.0)], axis=1)
    differences, drawn = drawn_statistics(sums.astype(np.float64), names, _means, replicates, seed)
    wide = _simultaneous(differences, drawn, [int(kept[:, k].sum()) >= max(fewest, 1) and
                                              len(np.unique(names[kept[:, k]])) > 1 for k in range(len(bins))])
    sign = -1.0 if lower_is_better else 1.0
    return [_of_bin(a[kept[:, k]], b[kept[:, k]], names[kept[:, k]], drawn[:, k], wide[k], sign)
            for k in range(len(bins))]


def exchanged(paired: PairedDifference) -> PairedDifference:
    """The same two segmenters, the other one first."""
    return PairedDifference(paired.n, paired.n_clusters, paired.other, paired.one, _negative(paired.difference),
                            1 - paired.probability_better, 1 - paired.share_better, _negative(paired.simultaneous))


def _negative(estimate: Estimate) -> Estimate:
    return Estimate(-estimate.value, -estimate.high, -estimate.low)


def _of_bin(a: Values, b: Values, names: NDArray[np.generic], drawn: Values, wide: Estimate, sign: float
            ) -> PairedDifference:
    n_clusters, defined = len(np.unique(names)), drawn[np.isfinite(drawn)]
    if not a.size:
        return PairedDifference(0, 0, math.nan, math.nan, _UNKNOWN, math.nan, math.nan)
    enough = n_clusters > 1 and defined.size > 1
    low, high = np.percentile(defined, [2.5, 97.5]).tolist() if enough else (math.nan, math.nan)
    estimate = Estimate(float((a - b).mean()), low, high)
    return PairedDifference(a.size, n_clusters, float(a.mean()), float(b.mean()), estimate,
                            _share_above(sign * defined) if enough else math.nan, _share_above(sign * (a - b)), wide)


def _share_above(values: Values) -> float:
    """Share above 0; those that equal 0 count half."""
    equal = np.abs(values) < _EQUAL
    return float(np.where(equal, 0.5, values > 0).mean())


def _simultaneous(differences: Values, drawn: Values, compared: Sequence[bool]) -> list[Estimate]:
    """Intervals that hold together over the compared bins."""
    spread = np.array([np.nanstd(column, ddof=1) if np.isfinite(column).sum() > 1 else math.nan for column in drawn.T])
    family = np.array(compared) & np.isfinite(spread)
    varied = family & (spread > _EQUAL)
    largest = np.zeros(len(drawn))
    if varied.any():
        distances = np.abs(drawn[:, varied] - differences[varied]) / spread[varied]
        largest = np.nanmax(np.where(np.isfinite(distances), distances, 0.0), axis=1)
    factor = float(np.percentile(largest, _LEVEL)) if largest.size else math.nan
    return [Estimate(float(d), float(d - factor * s), float(d + factor * s)) if each else
            Estimate(float(d), math.nan, math.nan) for d, s, each in zip(differences, spread, family, strict=True)]


def _means(sums: Values) -> Values:
    """(..., 2 K) counts and sums -> (..., K) means, NaN without a sample."""
    half = sums.shape[-1] // 2
    counts, totals = sums[..., :half], sums[..., half:]
    return np.asarray(np.divide(totals, counts, out=np.full(totals.shape, np.nan), where=counts > 0))

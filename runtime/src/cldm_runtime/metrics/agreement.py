"""Agreement of measured values with their reference: correlation, bias, limits, ICC and error.

| symbol | here |
|---|---|
| x, y | the reference (requested, or measured on the reference mask), the measurement |
| r2 | squared Pearson correlation, blind to bias and scale |
| slope, intercept | least squares of y on x: y = slope * x + intercept |
| bias, limits | mean of y - x, and bias -+ 1.96 standard deviations of y - x (Bland and Altman, Lancet 1986) |
| ICC | ICC(2,1): two-way random effects, absolute agreement, single measurement (Shrout and Fleiss, 1979) |
| MAE | mean of |y - x| |

Every estimate has a 95 % percentile interval of the cluster bootstrap: whole patients are drawn with replacement,
or single samples if patients are not known. All these numbers are functions of seven sums, so a replicate costs one
small product. A fixed seed gives the same interval everywhere.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError

Values = NDArray[np.float64]
NORMAL_95 = 1.96
_BLOCK = 1_000_000  # cluster draws in memory at a time
_MINIMUM = 3  # pairs: fewer define no meaningful correlation


@dataclass(frozen=True)
class Estimate:
    """A value and the ends of its 95 % interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of `n` pairs in `n_clusters` patients (or samples, if patients are not known).

    Pairs with an undefined side are left out and counted: `n_reference_undefined` for x, `n_measured_undefined` for y
    where x is defined. `reference_low` and `reference_high` are the range of x: r2 means little over a narrow one.
    """

    n: int
    n_clusters: int
    n_reference_undefined: int
    n_measured_undefined: int
    reference_low: float
    reference_high: float
    r2: Estimate
    slope: Estimate
    intercept: Estimate
    bias: Estimate
    limit_low: Estimate
    limit_high: Estimate
    icc: Estimate
    mae: Estimate

    @property
    def n_excluded(self) -> int:
        return self.n_reference_undefined + self.n_measured_undefined


@dataclass(frozen=True)
class AgreementDifference:
    """How two measurements of the same `n` samples, in `n_clusters` patients, differ in their agreement."""

    n: int
    n_clusters: int
    r2: Estimate
    slope: Estimate
    bias: Estimate
    icc: Estimate
    mae: Estimate


def agreement(reference: ArrayLike, measured: ArrayLike, clusters: ArrayLike | None = None,
              replicates: int = 1000, seed: int = 0) -> Agreement:
    """Agreement of (N,) measured values with their (N,) reference; `clusters` (N,) names each sample's patient.

    With fewer than three complete pairs every estimate is NaN. Raises InputError if lengths differ.
    """
    x_all, y_all = np.asarray(reference, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    names = np.arange(x_all.size) if clusters is None else np.asarray(clusters)
    if not x_all.shape == y_all.shape == names.shape or x_all.ndim != 1:
        raise InputError(f"agreement: reference {x_all.shape}, measured {y_all.shape} and clusters {names.shape} "
                         "must be one-dimensional and of one length.")
    x_known, y_known = np.isfinite(x_all), np.isfinite(y_all)
    paired = x_known & y_known
    x, y, names = x_all[paired], y_all[paired], names[paired]
    shift = float(x.mean()) if x.size else 0.0  # sums of squares lose digits far from zero
    r2, slope, intercept, bias, limit_low, limit_high, icc, mae = bootstrap(
        _pair_sums(x - shift, y - shift), names, partial(_pair_statistics, shift=shift), replicates, seed)
    return Agreement(
        n=int(x.size), n_clusters=len(np.unique(names)), n_reference_undefined=int((~x_known).sum()),
        n_measured_undefined=int((x_known & ~y_known).sum()), reference_low=float(x.min()) if x.size else math.nan,
        reference_high=float(x.max()) if x.size else math.nan, r2=r2, slope=slope, intercept=intercept, bias=bias,
        limit_low=limit_low, limit_high=limit_high, icc=icc, mae=mae)


def mean_estimate(values: ArrayLike, clusters: ArrayLike | None = None, replicates: int = 1000,
                  seed: int = 0) -> Estimate:
    """Mean of the values that are not NaN, with its cluster bootstrap interval."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.isfinite(numbers)
    names = np.arange(numbers.size) if clusters is None else np.asarray(clusters)
    sums = np.stack([np.ones(int(finite.sum())), numbers[finite]], axis=1)
    (mean,) = bootstrap(sums, names[finite], _mean, replicates, seed)
    return mean


def clustered_rate(hits: ArrayLike, clusters: ArrayLike | None = None, replicates: int = 1000,
                   seed: int = 0) -> Estimate:
    """Share of the trials (N,) that hit, with its cluster bootstrap interval; NaN without a trial. Without clusters the
    trials are independent, and the interval is Wilson's.

    Where no trial hits, or all do, no draw differs: then the interval is Wilson's, of one trial a cluster.
    """
    values = np.asarray(hits, dtype=np.float64)
    if clusters is None:
        return rate_estimate(int(values.sum()), values.size)
    names = np.asarray(clusters)
    if values.size and values.min() == values.max():
        count = len(np.unique(names))
        return rate_estimate(count if values[0] else 0, count)
    return mean_estimate(values, names, replicates, seed)


def agreement_difference(reference: ArrayLike, one: ArrayLike, other: ArrayLike, clusters: ArrayLike | None = None,
                         replicates: int = 1000, seed: int = 0) -> AgreementDifference:
    """Agreement of `other` with the reference minus that of `one`, all (N,), over the samples where all three are
    defined. A replicate draws the same clusters for both."""
    x, y, z = (np.asarray(values, dtype=np.float64) for values in (reference, one, other))
    names = np.arange(x.size) if clusters is None else np.asarray(clusters)
    complete = np.isfinite(x) & np.isfinite(y) & np.isfinite(z)
    x, y, z, names = x[complete], y[complete], z[complete], names[complete]
    shift = float(x.mean()) if x.size else 0.0
    sums = np.concatenate([_pair_sums(x - shift, y - shift), _pair_sums(x - shift, z - shift)], axis=1)

    def difference(both: Values) -> Values:
        half = both.shape[-1] // 2
        return _pair_statistics(both[..., half:], shift) - _pair_statistics(both[..., :half], shift)

    r2, slope, _, bias, _, _, icc, mae = bootstrap(sums, names, difference, replicates, seed)
    return AgreementDifference(int(x.size), len(np.unique(names)), r2, slope, bias, icc, mae)


def rate_estimate(count: int, total: int) -> Estimate:
    """`count / total` with its Wilson score interval, which is valid at 0 and at `total` too; NaN for total 0.

    Trials are assumed to be independent (Wilson, JASA 1927).
    """
    if total == 0:
        return Estimate(math.nan, math.nan, math.nan)
    p, z2 = count / total, NORMAL_95**2
    centre = (p + z2 / (2 * total)) / (1 + z2 / total)
    half = NORMAL_95 / (1 + z2 / total) * math.sqrt(p * (1 - p) / total + z2 / (4 * total**2))
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half))


def bootstrap(sums: Values, clusters: NDArray[np.generic], statistics: Callable[[Values], Values],
              replicates: int, seed: int) -> list[Estimate]:
    """Estimates of `statistics` over (N, K) per-sample sums, drawing whole clusters with replacement.

    `statistics` maps (..., K) sums to (..., M) values. The interval runs from the 2.5th to the 97.5th percentile of the
    defined replicates.
    """
    values, drawn = drawn_statistics(sums, clusters, statistics, replicates, seed)
    return [Estimate(float(value), *_interval(column)) for value, column in zip(values, drawn.T, strict=True)]


def drawn_statistics(sums: Values, clusters: NDArray[np.generic], statistics: Callable[[Values], Values],
                     replicates: int, seed: int) -> tuple[Values, Values]:
    """(M,) `statistics` of all samples, and (replicates, M) of each draw of clusters; of no draw with fewer than two
    clusters. Cluster c of replicate r is number floor(u * C) of a Philox stream keyed by the seed."""
    groups, numbers = np.unique(clusters, return_inverse=True)
    per_cluster = np.zeros((len(groups), sums.shape[1]))
    np.add.at(per_cluster, numbers, sums)
    values = statistics(sums.sum(axis=0))
    if len(groups) < 2:
        return values, np.empty((0, len(values)))
    philox = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64))
    count, block = len(groups), max(1, _BLOCK // len(groups))
    drawn = np.empty((replicates, sums.shape[1]))
    for start in range(0, replicates, block):
        stop = min(start + block, replicates)
        uniform = (philox.random_raw((stop - start) * count) >> np.uint64(11)) * 2.0**-53
        numbers = (uniform * count).astype(np.int64) + np.repeat(np.arange(stop - start) * count, count)
        times = np.bincount(numbers, minlength=(stop - start) * count).reshape(stop - start, count)
        drawn[start:stop] = times @ per_cluster
    return values, statistics(drawn)


def _interval(values: Values) -> tuple[float, float]:
    defined = values[np.isfinite(values)]
    if defined.size < 2:
        return math.nan, math.nan
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _mean(sums: Values) -> Values:
    return _divide(sums[..., 1], sums[..., 0])[..., None]


def _pair_sums(x: Values, y: Values) -> Values:
    """(N, 7) terms of each pair. Every statistic of a set of pairs is a function of their sums."""
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y, np.abs(y - x)], axis=1)


def _pair_statistics(sums: Values, shift: float) -> Values:
    """(..., 7) sums -> (..., 8): r2, slope, intercept, bias, lower limit, upper limit, ICC(2,1), MAE."""
    n, sx, sy, sxx, syy, sxy, absolute = np.moveaxis(sums, -1, 0)
    n = np.where(n >= _MINIMUM, n, np.nan)
    mean_x, mean_y = sx / n, sy / n
    cxx, cyy, cxy = sxx - sx * mean_x, syy - sy * mean_y, sxy - sx * mean_y
    tiny = 1e-12 * (sxx + syy)  # below it, a variance is the rounding error of a constant
    cxx, cyy = np.where(cxx > tiny, cxx, 0.0), np.where(cyy > tiny, cyy, 0.0)
    bias = mean_y - mean_x
    slope = _divide(cxy, cxx)
    half = NORMAL_95 * np.sqrt(np.maximum(cxx + cyy - 2 * cxy, 0.0) / (n - 1))
    rows, residual = (cxx + cyy + 2 * cxy) / 2 / (n - 1), (cxx + cyy - 2 * cxy) / 2 / (n - 1)
    columns = n * bias**2 / 2
    icc = _divide(rows - residual, rows + residual + 2 * (columns - residual) / n)
    intercept = mean_y + shift - slope * (mean_x + shift)
    return np.stack([_divide(cxy**2, cxx * cyy), slope, intercept, bias, bias - half, bias + half, icc, absolute / n],
                    axis=-1)


def _divide(above: Values, below: Values) -> Values:
    """Above over below, NaN where below is zero or undefined."""
    result = np.full(np.broadcast_shapes(above.shape, below.shape), np.nan)
    np.divide(above, below, out=result, where=np.nan_to_num(below) != 0)
    return result

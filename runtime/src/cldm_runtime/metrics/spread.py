"""How much a figure of an image varies where what the image shows is held fixed: synthetic against reference images.

| symbol | here |
|---|---|
| x, y | the figure, such as a mean intensity: of reference images, of synthetic ones |
| group | what is held fixed: one label map, or one bin of attributes |
| s | square root of the mean, over the groups, of the variance (n - 1) within a group |
| ratio | s of y over s of x: below 1 the synthetic images vary too little |
| bias | mean, over the groups, of the groups' mean of y minus that of x |

Groups with fewer than two values on a side are left out. Intervals are 95 %, of a bootstrap that draws what `unit`
names: whole maps, or whole patients.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .agreement import Estimate, bootstrap

Values = NDArray[np.float64]
_NOTHING = Estimate(float("nan"), float("nan"), float("nan"))


@dataclass(frozen=True)
class ConditionalSpread:
    """See the module. `groups` were compared; the means and deviations are in the figure's own unit."""

    groups: int
    reference_mean: Estimate
    synthetic_mean: Estimate
    bias: Estimate
    reference_sd: Estimate
    synthetic_sd: Estimate
    ratio: Estimate


def spread_of_maps(reference: NDArray[np.floating], synthetic: NDArray[np.floating], replicates: int = 1000,
                   seed: int = 0) -> ConditionalSpread:
    """Of values (K, R) and (K, S), several images of each of K label maps; NaN where a value is not defined. Maps are
    drawn with replacement."""
    x, y = (np.asarray(values, dtype=np.float64) for values in (reference, synthetic))
    kept = (np.isfinite(x).sum(axis=1) > 1) & (np.isfinite(y).sum(axis=1) > 1)
    if not kept.any():
        return ConditionalSpread(0, *[_NOTHING] * 6)
    terms = [term for values in (x[kept], y[kept]) for term in (np.nanmean(values, axis=1),
                                                                np.nanvar(values, axis=1, ddof=1))]
    sums = np.stack([np.ones(int(kept.sum())), *terms], axis=1)
    return ConditionalSpread(int(kept.sum()), *bootstrap(sums, np.arange(len(sums)), _of_means, replicates, seed))


def spread_in_bins(reference: NDArray[np.floating], synthetic: NDArray[np.floating], bins: NDArray[np.integer],
                   patients: NDArray[np.generic], replicates: int = 1000, seed: int = 0) -> ConditionalSpread:
    """Of values (N,) of reference images and of synthetic images of the same slices; NaN where a side has none.

    bins: (N,) the bin of each slice, below 0 for none. patients: (N,) drawn whole, with replacement. Bins weigh as much
    as they have slices.
    """
    sides = [np.asarray(values, dtype=np.float64) for values in (reference, synthetic)]
    groups = np.unique(bins[bins >= 0])
    member = bins[:, None] == groups[None]
    sums = np.concatenate([np.where(member & np.isfinite(side)[:, None], power[:, None], 0.0)
                           for side in sides for power in (np.ones(len(side)), side, side**2)], axis=1)
    counts = [(member & np.isfinite(side)[:, None]).sum(axis=0) for side in sides]
    compared = int(((counts[0] > 1) & (counts[1] > 1)).sum())
    if not compared:
        return ConditionalSpread(0, *[_NOTHING] * 6)
    return ConditionalSpread(compared, *bootstrap(sums, patients, _of_bins, replicates, seed))


def _of_means(sums: Values) -> Values:
    """(..., 5) sums over maps of 1, mean and variance of x, mean and variance of y -> (..., 6), see `_figures`."""
    n, mean_x, variance_x, mean_y, variance_y = np.moveaxis(sums, -1, 0)
    return _figures(mean_x / n, mean_y / n, variance_x / n, variance_y / n)


def _of_bins(sums: Values) -> Values:
    """(..., 6 B) sums in B bins of 1, x, x^2, 1, y, y^2 -> (..., 6) of `ConditionalSpread`."""
    parts = sums.reshape(*sums.shape[:-1], 6, -1)
    n_x, n_y = parts[..., 0, :], parts[..., 3, :]
    weight = np.where((n_x > 1) & (n_y > 1), n_x + n_y, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        figures = []
        for n, first, second in ((n_x, 1, 2), (n_y, 4, 5)):
            mean = parts[..., first, :] / n
            variance = np.maximum(parts[..., second, :] - n * mean**2, 0.0) / (n - 1)
            figures += [_weighted(mean, weight), _weighted(variance, weight)]
    mean_x, variance_x, mean_y, variance_y = figures
    return _figures(mean_x, mean_y, variance_x, variance_y)


def _weighted(values: Values, weight: Values) -> Values:
    """Mean over the last axis; groups of weight 0 may hold NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(weight > 0, values * weight, 0.0).sum(axis=-1) / weight.sum(axis=-1))


def _figures(mean_x: Values, mean_y: Values, variance_x: Values, variance_y: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(variance_y / variance_x)
    return np.stack([mean_x, mean_y, mean_y - mean_x, np.sqrt(variance_x), np.sqrt(variance_y), ratio], axis=-1)

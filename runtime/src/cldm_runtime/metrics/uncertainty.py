"""Uncertainty from several images of one condition, and its calibration against the truth.

| symbol | here |
|---|---|
| k | number of images of a condition, which differ in their noise alone |
| s | standard deviation (k - 1) over the k images: of a pixel's intensity, or of a measured attribute |
| d | disagreement of k label maps at a pixel: 1 - (count of the most frequent label) / k; 0 is unanimous |
| e | mean of the attribute over the k images, minus its reference |
| p | predicted error s sqrt(1 + 1/k): the RMS of e if the reference is one more draw from the same distribution |
| ratio | RMS e / RMS p over conditions: 1 is calibrated, above 1 the images of a condition agree too well |

The factor of p is that of ensemble forecasts (Fortin et al., J. Hydrometeorology 15, 2014). Ratio and correlation judge
the spread, not the segmenter: a constant bias raises the ratio even if the spread ranks the conditions well. With few
images s is itself uncertain: conditions of low s then have larger errors than p predicts, those of high s smaller ones.
All intervals are 95 % percentile intervals of a bootstrap over conditions, or over patients where they are known: the
conditions of a patient fall together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from .agreement import Estimate, bootstrap

BINS = 6  # of the calibration curve, at most
BIN_CONDITIONS = 5  # in each bin, at least
DISAGREEMENT_EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)  # 0 alone, then (0, 0.1], (0.1, 0.2], ...
_MINIMUM = 3  # conditions: fewer define no meaningful correlation

Values = NDArray[np.float64]


@dataclass(frozen=True)
class ConditionSpread:
    """One attribute over the images of each condition, for the G conditions with spread and error; arrays are (G,).

    images: k. spread: s. predicted: p. error: e. single: root mean square of the k single errors. clusters: what a
    bootstrap draws as a whole, the condition itself or its patient. Left out and counted:
    conditions whose reference is undefined, conditions with a reference but fewer than two defined measurements, and
    undefined measurements of conditions with a reference.
    """

    conditions: NDArray[np.int64]
    images: NDArray[np.int64]
    spread: Values
    predicted: Values
    error: Values
    single: Values
    n_reference_undefined: int
    n_too_few: int
    n_values_undefined: int
    clusters: NDArray[np.generic]


@dataclass(frozen=True)
class SpreadBin:
    """A point of the calibration curve: the RMS of p and of e over `n` conditions of similar p."""

    n: int
    rms_predicted: float
    rms_error: Estimate


@dataclass(frozen=True)
class AttributeSpread:
    """Spread and error of one attribute over `n` conditions, in the attribute's unit.

    reference: "mask" or "requested". samples: "all", or "<lesion> only". rms_error is that of the mean of a condition,
    rms_error_single that of single images. rho: Spearman's correlation of p and |e|. `bins` hold equal numbers of
    conditions, in the order of p.
    """

    attribute: str
    unit: str
    reference: str
    samples: str
    n: int
    n_reference_undefined: int
    n_too_few: int
    n_values_undefined: int
    rms_spread: Estimate
    rms_error: Estimate
    rms_error_single: Estimate
    ratio: Estimate
    rho: Estimate
    bins: tuple[SpreadBin, ...]


@dataclass(frozen=True)
class PixelBin:
    """Pixels with low < d <= high (d = 0 in the first): their number, mean d, and the share where the most frequent
    label is not that of the mask."""

    low: float
    high: float
    n: int
    n_wrong: int
    disagreement: float
    error_rate: Estimate


@dataclass(frozen=True)
class PixelCalibration:
    """Disagreement against actual errors. calibration_error: mean over pixels of |error rate - mean d| of their bin.
    unanimous_wrong: the share of all wrong pixels that no image disputes, which disagreement cannot warn of."""

    n: int
    n_wrong: int
    calibration_error: Estimate
    unanimous_wrong: Estimate
    bins: tuple[PixelBin, ...]


@dataclass(frozen=True)
class Uncertainty:
    """The section of scores.json on repeated conditions.

    n_alone: samples that are alone in their condition. images_low, images_high: least and most images of a condition.
    image_sd: mean s over pixels, in units of intensity. disagreement: mean d over pixels with a structure in any image
    of the condition. examples: the pictured conditions, from the least to the most disagreement.
    """

    n_conditions: int
    n_samples: int
    n_alone: int
    images_low: int
    images_high: int
    image_sd: Estimate
    disagreement: Estimate
    attributes: tuple[AttributeSpread, ...]
    pixels: PixelCalibration | None
    examples: tuple[int, ...]


def image_spread(images: NDArray[np.floating]) -> tuple[Values, Values]:
    """Mean and s of each pixel over (K, ...) images of one condition, K >= 2; both (...)."""
    return images.mean(axis=0, dtype=np.float64), images.std(axis=0, ddof=1, dtype=np.float64)


def disagreement(labels: LabelMap, n_labels: int) -> tuple[LabelMap, Values]:
    """Most frequent label (the least where several tie) and d of each pixel over (K, ...) label maps; both (...)."""
    counts = np.stack([(labels == value).sum(axis=0) for value in range(n_labels)])
    return counts.argmax(axis=0).astype(np.uint8), (len(labels) - counts.max(axis=0)) / len(labels)


def condition_spread(measured: NDArray[np.floating], reference: NDArray[np.floating],
                     conditions: NDArray[np.int64], patients: NDArray[np.str_] | None = None) -> ConditionSpread:
    """Spread and error of (N,) measurements, NaN where undefined, with the reference and the condition of each, and its
    patient where it is known.

    The samples of a condition share a reference and a patient: those of the first one are used.
    """
    numbers, first, group = np.unique(conditions, return_index=True, return_inverse=True)
    truth, is_measured = reference[first].astype(np.float64), np.isfinite(measured)
    value, group_measured = measured[is_measured].astype(np.float64), group[is_measured]
    k = np.bincount(group_measured, minlength=len(numbers))
    usable, has_truth = np.isfinite(truth) & (k >= 2), np.isfinite(truth)
    mean = _sum(value, group_measured, len(numbers)) / np.maximum(k, 1)
    variance = _sum((value - mean[group_measured]) ** 2, group_measured, len(numbers)) / np.maximum(k - 1, 1)
    single = _sum((value - truth[group_measured]) ** 2, group_measured, len(numbers)) / np.maximum(k, 1)
    return ConditionSpread(
        numbers[usable], k[usable], np.sqrt(variance[usable]), np.sqrt(variance[usable] * (1 + 1 / k[usable])),
        (mean - truth)[usable], np.sqrt(single[usable]), int((~has_truth).sum()), int((has_truth & (k < 2)).sum()),
        int((~is_measured & has_truth[group]).sum()), numbers[usable] if patients is None else patients[first][usable])


def attribute_spread(spreads: ConditionSpread, attribute: str, unit: str, reference: str, samples: str,
                     replicates: int = 1000, seed: int = 0) -> AttributeSpread:
    """The statistics of one attribute, with intervals."""
    squares = np.stack([np.ones_like(spreads.spread), spreads.spread**2, spreads.error**2, spreads.single**2,
                        spreads.predicted**2], axis=1)
    spread, error, single, ratio = bootstrap(squares, spreads.clusters, _root_means, replicates, seed)
    return AttributeSpread(
        attribute, unit, reference, samples, len(spreads.spread), spreads.n_reference_undefined, spreads.n_too_few,
        spreads.n_values_undefined, spread, error, single, ratio,
        spearman(spreads.predicted, np.abs(spreads.error), replicates, seed, spreads.clusters),
        calibration_bins(spreads, replicates, seed))


def calibration_bins(spreads: ConditionSpread, replicates: int = 1000, seed: int = 0) -> tuple[SpreadBin, ...]:
    """The calibration curve: conditions in the order of p, in bins of equal size, with an interval for each bin."""
    if not len(spreads.predicted):
        return ()
    count = min(BINS, max(1, len(spreads.predicted) // BIN_CONDITIONS))
    chosen = np.array_split(np.argsort(spreads.predicted, kind="stable"), count)
    return tuple(SpreadBin(len(rows), float(np.sqrt((spreads.predicted[rows]**2).mean())),
                           _rms(spreads.error[rows], spreads.clusters[rows], replicates, seed)) for rows in chosen)


def spearman(x: Values, y: Values, replicates: int = 1000, seed: int = 0,
             clusters: NDArray[np.generic] | None = None) -> Estimate:
    """Spearman's rank correlation of (N,) pairs; ties have their mean rank. NaN below three pairs, or without variance.
    A replicate draws whole clusters (N,), or single pairs: number j is floor(u C) of a Philox stream keyed by the seed.
    """
    if len(x) < _MINIMUM:
        return Estimate(math.nan, math.nan, math.nan)
    names = np.arange(len(x)) if clusters is None else np.unique(clusters, return_inverse=True)[1]
    members = np.split(np.argsort(names, kind="stable"), np.cumsum(np.bincount(names))[:-1])
    n = len(members)
    philox = np.random.Philox(key=np.array([seed, 1], dtype=np.uint64))
    drawn = np.empty(replicates)
    for replicate in range(replicates):
        rows = ((philox.random_raw(n) >> np.uint64(11)) * 2.0**-53 * n).astype(np.int64)
        rows = np.concatenate([members[row] for row in rows])
        drawn[replicate] = _rank_correlation(x[rows], y[rows])
    defined = drawn[np.isfinite(drawn)]
    low, high = np.percentile(defined, [2.5, 97.5]) if defined.size > 1 else (math.nan, math.nan)
    return Estimate(_rank_correlation(x, y), float(low), float(high))


def pixel_tally(disputed: Values, wrong: NDArray[np.bool_]) -> Values:
    """(bins, 3) for the pixels of one condition: their number, number of wrong ones, sum of d."""
    bins = np.digitize(disputed.ravel(), DISAGREEMENT_EDGES, right=True)
    columns = (None, wrong.ravel(), disputed.ravel())
    return np.stack([np.bincount(bins, column, len(DISAGREEMENT_EDGES)) for column in columns], axis=1)


def pixel_calibration(tallies: Sequence[Values], replicates: int = 1000, seed: int = 0,
                      clusters: NDArray[np.generic] | None = None) -> PixelCalibration:
    """The calibration from the tallies of all conditions; clusters: of each, what a bootstrap draws as a whole. Bins
    without a pixel are left out."""
    table = np.stack(tallies)
    names = np.arange(len(table)) if clusters is None else clusters
    estimates = bootstrap(table.reshape(len(table), -1), names, _pixel_statistics, replicates, seed)
    total, low = table.sum(axis=0), (0.0, *DISAGREEMENT_EDGES[:-1])
    bins = tuple(PixelBin(low[number], high, int(total[number, 0]), int(total[number, 1]),
                          float(total[number, 2] / total[number, 0]), estimates[2 + number])
                 for number, high in enumerate(DISAGREEMENT_EDGES) if total[number, 0])
    return PixelCalibration(int(total[:, 0].sum()), int(total[:, 1].sum()), estimates[0], estimates[1], bins)


def _pixel_statistics(sums: Values) -> Values:
    """(..., bins * 3) -> (..., 2 + bins): calibration error, share of wrong pixels in the first bin, error rates."""
    n, wrong, disputed = np.moveaxis(sums.reshape(*sums.shape[:-1], -1, 3), -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.abs(wrong - disputed).sum(axis=-1) / n.sum(axis=-1)
        return np.concatenate([gap[..., None], (wrong[..., 0] / wrong.sum(axis=-1))[..., None], wrong / n], axis=-1)


def _root_means(sums: Values) -> Values:
    """(..., 5) sums of squares -> (..., 4): RMS s, RMS e, RMS single error, RMS e / RMS p; NaN where undefined."""
    n, spread, error, single, predicted = np.moveaxis(sums, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(predicted > 0, np.sqrt(error / predicted), np.nan)
        return np.stack([np.sqrt(spread / n), np.sqrt(error / n), np.sqrt(single / n), ratio], axis=-1)


def _rank_correlation(x: Values, y: Values) -> float:
    a, b = _ranks(x), _ranks(y)
    a, b = a - a.mean(), b - b.mean()
    product = float((a @ a) * (b @ b))
    return float(a @ b) / math.sqrt(product) if product > 0 else math.nan


def _ranks(values: Values) -> Values:
    """1 for the least; ties have their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[inverse])


def _rms(values: Values, clusters: NDArray[np.generic], replicates: int, seed: int) -> Estimate:
    squares = np.stack([np.ones_like(values), values**2], axis=1)
    (estimate,) = bootstrap(squares, clusters, lambda sums: np.sqrt(sums[..., 1:] / sums[..., :1]), replicates, seed)
    return estimate


def _sum(values: Values, groups: NDArray[np.int64], count: int) -> Values:
    return np.bincount(groups, values, count).astype(np.float64)

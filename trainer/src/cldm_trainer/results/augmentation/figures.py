"""Dice and detection of segmenters that learned from different sets, all tested on the same slices.

| symbol | here |
|---|---|
| score | of a slice: mean probability of the lesion over the `TOP_PIXELS` pixels where it is most probable |
| f | the baseline's false rate: share of the slices without lesion in which it finds one above `sized_pixels` |
| sensitivity | share of the slices with lesion whose score is above that which a share f of those without exceed |
| AUC | probability that a slice with lesion has a higher score than one without; equal scores count half |

Each is the mean over the trainings on a set. Intervals are percentiles of a bootstrap that draws patients, the same
draws for all sets; f is not drawn. Differences are against the baseline, within a draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..validity.outcomes import Truth
from ..validity.prediction import Json, Values, drawn_patients, estimate

TOP_PIXELS = 10
ALL, SMALL = "all", "small"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Outcomes:
    """Of S trainings on N slices. dice (S, N, R) of every region, NaN where the reference lacks it; score (S, N);
    found (S, N): whether a lesion above `sized_pixels` was found."""

    dice: Values
    score: Values
    found: NDArray[np.bool_]


def study_figures(outcomes: Mapping[str, Outcomes], baseline: str, truth: Truth, small: float,
                  replicates: int) -> Json:
    """Figures over all slices, and with the lesions smaller than `small` alone: group -> set -> figure."""
    domain = truth.domain
    assert domain.lesion_size is not None  # or nothing could be detected
    size = truth.attributes[:, domain.attribute_names.index(domain.lesion_size)].astype(np.float64)
    names, numbers = np.unique(truth.patients, return_inverse=True)
    weights = drawn_patients(len(names), replicates)[:, numbers]
    healthy = outcomes[baseline].found[:, ~truth.held]
    rate = float(healthy.mean()) if healthy.size else float("nan")
    groups = {ALL: truth.held, SMALL: truth.held & (size < small)}
    return {"baseline": baseline, "false_rate": rate, "healthy": int((~truth.held).sum()), "small_below": small,
            "groups": {name: {"n": int(chosen.sum()),
                              "patients": len(np.unique(truth.patients[chosen])),
                              "sets": _group(outcomes, baseline, chosen, ~truth.held, rate, weights, truth)}
                       for name, chosen in groups.items()}}


def _group(outcomes: Mapping[str, Outcomes], baseline: str, chosen: NDArray[np.bool_], healthy: NDArray[np.bool_],
           rate: float, weights: Values, truth: Truth) -> Json:
    """The sets on the chosen slices with lesion; regions without lesion count on all slices where all are chosen."""
    drawn = {name: _drawn(found, chosen, healthy, rate, weights, truth) for name, found in outcomes.items()}
    return {name: {figure: {**estimate(values.mean(axis=0)), "seeds": values[:, 0].tolist(),
                            "difference": estimate(values.mean(axis=0) - drawn[baseline][figure].mean(axis=0))}
                   for figure, values in figures.items()} for name, figures in drawn.items()}


def _drawn(found: Outcomes, chosen: NDArray[np.bool_], healthy: NDArray[np.bool_], rate: float, weights: Values,
           truth: Truth) -> dict[str, Values]:
    """Figure -> (S, 1 + R): of every training, over all patients and over each draw."""
    regions = list(truth.domain.labels.regions)
    figures = {f"dice_{region}": np.stack([weighted_mean(dice[:, column], weights, chosen) for dice in found.dice])
               for column, region in enumerate(regions)}
    figures["sensitivity"] = np.stack([sensitivity(score, chosen, healthy, rate, weights) for score in found.score])
    figures["auc"] = np.stack([auc(score, chosen, healthy, weights) for score in found.score])
    return figures


def weighted_mean(values: Values, weights: Values, chosen: NDArray[np.bool_]) -> Values:
    """(1 + R,) mean of the chosen values (N,) that are defined, each draw with its weights (1 + R, N)."""
    known = np.isfinite(values) & chosen
    total = weights[:, known].sum(axis=1)
    return _ratio(weights[:, known] @ values[known], total)


def _ratio(part: Values, whole: Values) -> Values:
    """NaN where the whole is 0."""
    result = np.full(len(whole), np.nan)
    np.divide(part, whole, out=result, where=whole > 0)
    return result


def sensitivity(score: Values, lesion: NDArray[np.bool_], healthy: NDArray[np.bool_], rate: float,
                weights: Values) -> Values:
    """(1 + R,) share of the slices with lesion whose score (N,) exceeds that of all but a share `rate` of the healthy
    ones; NaN where either kind is missing."""
    order = np.flatnonzero(healthy)[np.argsort(-score[healthy], kind="stable")]
    result = np.full(len(weights), np.nan)
    for number, weight in enumerate(weights):
        negatives, positives = weight[order], weight[lesion]
        if negatives.sum() > 0 and positives.sum() > 0:
            allowed = np.cumsum(negatives) <= rate * negatives.sum() + _ROUNDING
            threshold = -np.inf if allowed.all() else score[order[np.argmin(allowed)]]
            result[number] = positives[score[lesion] > threshold].sum() / positives.sum()
    return result


def auc(score: Values, lesion: NDArray[np.bool_], healthy: NDArray[np.bool_], weights: Values) -> Values:
    """(1 + R,) area under the curve of sensitivity over false rate; NaN where either kind is missing."""
    above = (score[lesion][:, None] > score[healthy]) + 0.5 * (score[lesion][:, None] == score[healthy])
    positives, negatives = weights[:, lesion], weights[:, healthy]
    return _ratio(((positives @ above) * negatives).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))

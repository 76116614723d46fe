"""Faithfulness of one generator, from the segmenter's label maps.

| figure | the segmenter's label map of | against |
|---|---|---|
| reference | the cohort's slice | its label map |
| to_mask | the synthetic image | the label map it was made from |
| to_original | the synthetic image | the segmenter's label map of the cohort's slice |

Each is a Dice of every region, over the slices where the second holds it; a miss counts 0. A share is the mean over
that of `reference`, over the same slices. Intervals are of a bootstrap of patients.
"""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.metrics.agreement import Estimate, agreement, bootstrap, mean_estimate

from ..utility.figures import share_estimate
from ..validity.outcomes import compare
from .segmented import SegmentedSlices

Json = dict[str, Any]
Values = NDArray[np.float64]


def dice_to_original(made: SegmentedSlices, original: SegmentedSlices) -> Values:
    """(N, R), NaN where the segmenter finds no such region in the cohort's slice."""
    return compare(made.found, replace(made.truth, masks=original.found)).dice


def faithfulness(made: SegmentedSlices, original: SegmentedSlices, replicates: int) -> Json:
    """regions: region -> n and all figures; means: each over the regions; attributes: name -> r2, slope and bias of
    what is found against the label map. Both sets hold the same slices in the same order."""
    patients, names = made.truth.patients, list(made.truth.domain.labels.regions)
    reference = original.outcomes.dice
    kinds = {"reference": reference, "to_mask": made.outcomes.dice, "to_original": dice_to_original(made, original)}
    regions = {name: _of_region({kind: dice[:, column] for kind, dice in kinds.items()}, patients, replicates)
               for column, name in enumerate(names)}
    means = {kind: asdict(mean_of_regions(dice, patients, replicates)) for kind, dice in kinds.items()}
    return {"regions": regions, "means": means, "attributes": _attributes(made, replicates)}


def _of_region(kinds: dict[str, Values], patients: NDArray[np.str_], replicates: int) -> Json:
    """kinds: name -> Dice (N,)."""
    figures: Json = {"n": int(np.isfinite(kinds["to_mask"]).sum())}
    for kind, dice in kinds.items():
        figures[kind] = asdict(mean_estimate(dice, patients, replicates))
        if kind != "reference":
            both = np.isfinite(dice) & np.isfinite(kinds["reference"])
            figures[f"{kind}_share"] = asdict(share_estimate(dice[both], kinds["reference"][both], patients[both],
                                                             replicates))
    return figures


def mean_of_regions(dice: Values, patients: NDArray[np.str_], replicates: int) -> Estimate:
    """The mean over the regions of the mean Dice (N, R) of each, over those that some slice holds."""
    return _bootstrapped(dice, np.zeros_like(dice), np.isfinite(dice), patients, replicates)


def difference_of_means(one: Values, other: Values, patients: NDArray[np.str_], replicates: int) -> Estimate:
    """`mean_of_regions` of one minus that of the other, slice by slice, where both are defined."""
    return _bootstrapped(one, other, np.isfinite(one) & np.isfinite(other), patients, replicates)


def _bootstrapped(one: Values, other: Values, known: NDArray[np.bool_], patients: NDArray[np.str_],
                  replicates: int) -> Estimate:
    sums = np.concatenate([np.where(known, one - other, 0.0), known], axis=1).astype(np.float64)
    return bootstrap(sums, patients, _mean_of_means, replicates, 0)[0]


def _mean_of_means(sums: Values) -> Values:
    """(..., 2 R) totals and counts -> (..., 1)."""
    half = sums.shape[-1] // 2
    totals, counts = sums[..., :half], sums[..., half:]
    present = counts > 0
    means = np.divide(totals, counts, out=np.zeros_like(totals), where=present)
    number = present.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(means.sum(axis=-1, keepdims=True), number,
                                out=np.full((*sums.shape[:-1], 1), np.nan), where=number > 0))


def _attributes(made: SegmentedSlices, replicates: int) -> Json:
    truth, difference = made.truth, made.outcomes.difference
    figures: Json = {}
    for column, attribute in enumerate(truth.domain.attributes):
        if attribute.measurable:
            wanted = truth.attributes[:, column].astype(np.float64)
            found = agreement(wanted, wanted + difference[:, column], truth.patients, replicates)
            figures[attribute.name] = {"n": found.n, "r2": asdict(found.r2), "slope": asdict(found.slope),
                                       "bias": asdict(found.bias)}
    return figures


def compared(one: SegmentedSlices, other: SegmentedSlices, replicates: int) -> Json:
    """The Dice to the masks of one generator minus that of another, slice by slice: mean of the regions, and each."""
    a, b, patients = one.outcomes.dice, other.outcomes.dice, one.truth.patients
    regions = {name: asdict(difference_of_means(a[:, [column]], b[:, [column]], patients, replicates))
               for column, name in enumerate(one.truth.domain.labels.regions)}
    return {"mean": asdict(difference_of_means(a, b, patients, replicates)), "regions": regions}

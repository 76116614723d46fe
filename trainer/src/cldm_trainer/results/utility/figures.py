"""What the trainings give on held-out slices: Dice of every region, against the training on reference slices.

Dice of a slice is the mean over the seeds. Kinds are compared slice by slice, and intervals are of a bootstrap of
patients: seeds are few, and their spread is given beside.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.metrics.agreement import bootstrap, mean_estimate
from cldm_runtime.metrics.paired import paired_difference

Json = dict[str, Any]
Values = NDArray[np.float64]
REFERENCE, GENERATED, BOTH = "reference", "generated", "both"
KINDS = (REFERENCE, GENERATED, BOTH)


def utility_figures(dice: Mapping[str, Mapping[str, Values]], patients: NDArray[np.generic], replicates: int) -> Json:
    """dice: kind -> region -> (seeds, N). Of each region: the mean of every kind, its difference to the reference and
    its share of it, with intervals; and the means of the seeds."""
    regions = list(dice[REFERENCE])
    return {region: {kind: _of_kind(dice[kind][region], dice[REFERENCE][region], patients, replicates)
                     for kind in dice} for region in regions}


def _of_kind(values: Values, reference: Values, patients: NDArray[np.generic], replicates: int) -> Json:
    """values, reference: (seeds, N), NaN for slices that lack the region."""
    a, b = values.mean(axis=0), reference.mean(axis=0)
    known = np.isfinite(a) & np.isfinite(b)
    seeds = [float(row[known].mean()) if known.any() else math.nan for row in values]
    return {"n": int(known.sum()), "dice": asdict(mean_estimate(a[known], patients[known], replicates)),
            "difference": asdict(paired_difference(a, b, patients, replicates=replicates).difference),
            "share": asdict(share_estimate(a[known], b[known], patients[known], replicates)), "seeds": seeds}


def share_estimate(a: Values, b: Values, patients: NDArray[np.generic], replicates: int) -> Any:
    """The mean of a as a share of that of b (N,), the same slices of both drawn together; an `Estimate`."""
    return bootstrap(np.stack([a, b], axis=1), patients, _share, replicates, 0)[0]


def _share(sums: Values) -> Values:
    """(..., 2) -> (..., 1); NaN where the second is 0."""
    return np.asarray(np.divide(sums[..., :1], sums[..., 1:], out=np.full(sums[..., :1].shape, np.nan),
                                where=sums[..., 1:] > 0))

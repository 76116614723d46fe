"""Which synthetic images are copies of training slices, judged by what slices look like that cannot be copies.

Held-out slices were never trained on, so what their distances to the training slices are, an image of a new patient may
be too. A synthetic image counts as a copy if both of these hold:

1. its distance to the nearest training slice is below the q-quantile of those of the held-out slices;
2. the ratio of that distance to the distance to the nearest slice of another patient is below the q-quantile of the
   held-out ratios.

The first alone would accuse an image that is merely smooth: with less noise than a scan it is nearer to everything. The
second alone would accuse one that is like a single unusual patient, yet far from him. A copy is near to one patient and
to nobody else. q = 0.01 by default: of images that behave as held-out slices do, one in a hundred passes each test, and
fewer both; the share of held-out slices that are called copies by the same rule stands next to the copy rate. A smaller
q asks for more held-out slices than cohorts have: with n of them, quantiles below 1 / n are the smallest value found.

What it cannot see: parts of an image that are copied, and copies that were turned by other than 90 degrees, moved or
scaled (features may still detect these). The quantile idea and the ratio follow what is usual in audits of generators:
Dar et al., arXiv 2402.01054 (copies in medical diffusion models), Carlini et al., arXiv 2301.13188 (a threshold that is
relative to the other neighbours).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.errors import InputError
from cldm_runtime.metrics.agreement import Estimate, clustered_rate

from .images import Names
from .nearest import Neighbours, Values

QUANTILE = 0.01


@dataclass(frozen=True)
class Verdict:
    """What the rule says. `severity` (N,) is the larger of distance and ratio, each over its threshold: below 1 is a
    copy. The rates are shares with 95 % intervals, by patient where patients are known, else Wilson's; `held_out_rate`
    is that of the held-out slices."""

    quantile: float
    distance_threshold: float
    ratio_threshold: float
    severity: Values
    rate: Estimate
    held_out_rate: Estimate

    @property
    def copies(self) -> NDArray[np.bool_]:
        """(N,) whether the image counts as a copy."""
        return self.severity < 1.0


def judge(synthetic: Neighbours, held_out: Neighbours, quantile: float = QUANTILE,
          patients: tuple[Names | None, Names | None] = (None, None)) -> Verdict:
    """Apply the rule. patients: (N,) of both sets, where known; those of synthetic images gave the label maps. Raises
    InputError for a quantile outside 0..1, or when there is nothing to compare."""
    if not 0.0 < quantile < 1.0:
        raise InputError(f"quantile = {quantile}: expected more than 0 and less than 1, for example {QUANTILE}.")
    if not len(synthetic) or not len(held_out):
        raise InputError(f"{len(synthetic)} synthetic and {len(held_out)} held-out slices: expected at least one each.")
    distance, ratio = (float(np.quantile(values, quantile)) for values in (held_out.distance, held_out.ratio))
    severity, expected = _severity(synthetic, distance, ratio), _severity(held_out, distance, ratio)
    return Verdict(quantile, distance, ratio, severity, _rate(severity, patients[0]),
                   _rate(expected, patients[1]))


def _severity(neighbours: Neighbours, distance: float, ratio: float) -> Values:
    parts = [np.divide(values, limit, out=np.full(len(neighbours), np.inf), where=limit > 0)
             for values, limit in ((neighbours.distance, distance), (neighbours.ratio, ratio))]
    return np.asarray(np.maximum(*parts))


def _rate(severity: Values, patients: Names | None) -> Estimate:
    return clustered_rate(severity < 1.0, patients)

"""Where a segmentation fails: Dice, misses, false findings and bias in bins of an attribute of the reference.

Edges of the bins are quantiles of the attribute over the samples whose reference holds the lesion (over all samples in
a domain without one), so that every bin has about as many of them. The first and the last edge are the smallest and
the largest value of all samples: an image without a lesion, of size 0, is in the first bin of size. A bin is
[low, high), the last one [low, high]. Equal values can leave bins empty: they stay, with n = 0.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Attribute
from .agreement import Estimate, clustered_rate, mean_estimate

BINS = 5
FEWEST = 10  # a smaller bin is never named the worst
EDGES = "quantiles of the samples that hold the lesion, or of all samples in a domain without one"
Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RegionOutcome:
    """What became of a region in each of N samples. dice: NaN where it was not measured. held: the reference holds
    the region; decided: it is known whether it does; segmented: the segmentation holds it."""

    region: str
    dice: Values
    held: Mask
    decided: Mask
    segmented: Mask


@dataclass(frozen=True)
class Stratum:
    """One region in one bin of an attribute, `low` to `high` in its unit.

    `n_samples` are in the bin; the reference of `n` of them holds the region (`n_missed` were missed, counting 0 in
    `dice`), that of `n_without` does not (`n_false` were found all the same). bias: mean of the segmentation's
    attribute minus the reference's, over the `n_bias` samples where both are defined.
    """

    attribute: str
    unit: str
    low: float
    high: float
    region: str
    n_samples: int
    n: int
    dice: Estimate
    n_missed: int
    missed_rate: Estimate
    n_without: int
    n_false: int
    false_rate: Estimate
    n_bias: int
    bias: Estimate


@dataclass(frozen=True)
class Strata:
    """rows: five bins of every attribute, each with every region that is looked at: the domain's lesion, or all regions
    where there is none. reference: whose attributes define the bins, "mask" or, in a file without masks, "requested".
    undefined: attributes that no reference defines. worst: of the bins in which at least `minimum_n` samples hold the
    region.
    """

    reference: str
    rows: tuple[Stratum, ...]
    worst: Stratum | None
    undefined: tuple[str, ...]
    bins: int = BINS
    minimum_n: int = FEWEST
    edges: str = EDGES


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are drawn: whole clusters (N,), or samples where that is None."""

    clusters: NDArray[np.generic] | None = None
    replicates: int = 1000
    seed: int = 0

    def mean(self, values: Values, kept: Mask) -> Estimate:
        """Mean of the chosen values that are not NaN."""
        clusters = None if self.clusters is None else self.clusters[kept]
        return mean_estimate(values[kept], clusters, self.replicates, self.seed)

    def rate(self, hits: Mask, kept: Mask) -> Estimate:
        """Share of the chosen samples that hit."""
        clusters = None if self.clusters is None else self.clusters[kept]
        return clustered_rate(hits[kept], clusters, self.replicates, self.seed)


def bin_edges(reference: Values, counted: Mask, bins: int = BINS) -> Values:
    """(bins + 1,) edges for values (N,), of which some are not NaN; quantiles of the `counted` ones where there are
    any."""
    defined = reference[np.isfinite(reference)]
    chosen = reference[np.isfinite(reference) & counted]
    edges = np.quantile(chosen if chosen.size else defined, np.linspace(0, 1, bins + 1))
    edges[0], edges[-1] = defined.min(), defined.max()
    return np.asarray(edges, dtype=np.float64)


def bins_of(reference: Values, edges: Values) -> NDArray[np.int64]:
    """(N,) the bin of each value, -1 where it is NaN."""
    numbers = np.searchsorted(edges[1:-1], reference, side="right")
    return np.where(np.isfinite(reference), numbers, -1).astype(np.int64)


def stratify(attribute: Attribute, reference: Values, measured: Values, outcomes: Sequence[RegionOutcome],
             counted: Mask, bootstrap: Bootstrap) -> Iterator[Stratum]:
    """Every bin and region of one attribute, whose values are (N,); nothing where no reference defines it."""
    if not np.isfinite(reference).any():
        return
    edges = bin_edges(reference, counted)
    numbers, differences = bins_of(reference, edges), measured - reference
    for number, (low, high) in enumerate(pairwise(edges)):
        kept = numbers == number
        bias, n_bias = bootstrap.mean(differences, kept), int(np.isfinite(differences[kept]).sum())
        for outcome in outcomes:
            held, without = kept & outcome.held, kept & outcome.decided & ~outcome.held
            n, n_missed = int(held.sum()), int((held & ~outcome.segmented).sum())
            n_without, n_false = int(without.sum()), int((without & outcome.segmented).sum())
            yield Stratum(attribute.name, attribute.unit, float(low), float(high), outcome.region, int(kept.sum()),
                          n, bootstrap.mean(outcome.dice, held), n_missed,
                          bootstrap.rate(~outcome.segmented, held), n_without,
                          n_false, bootstrap.rate(outcome.segmented, without), n_bias, bias)


def worst_of(strata: Sequence[Stratum], fewest: int = FEWEST) -> Stratum | None:
    """The lowest mean Dice of all bins with at least `fewest` samples that hold the region, but not all of them;
    without any Dice the largest share of misses, if anything was missed. None where there is no such bin."""
    total = Counter[tuple[str, str]]()
    for stratum in strata:
        total[stratum.attribute, stratum.region] += stratum.n
    enough = [stratum for stratum in strata if fewest <= stratum.n < total[stratum.attribute, stratum.region]]
    scored = [stratum for stratum in enough if math.isfinite(stratum.dice.value)]
    if scored:
        return min(scored, key=lambda stratum: stratum.dice.value)
    missed = [stratum for stratum in enough if stratum.n_missed]
    return max(missed, key=lambda stratum: stratum.missed_rate.value, default=None)

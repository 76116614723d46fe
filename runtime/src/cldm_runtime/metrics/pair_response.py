"""How measured sizes of a lesion answer to pairs: the same image without its lesion, and with it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.place_rules import PlaceFigure
from .agreement import Agreement, Estimate, agreement, clustered_rate, mean_estimate
from .strata import bin_edges, bins_of

Shares = NDArray[np.float64]
MOST_DOSES = 6  # bins of painted size
NO_ESTIMATE = Estimate(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Dose:
    """n pairs of one group. painted: mean size of the lesion in the second image's label map. measured: mean size that
    was segmented there; before: the same in the first image."""

    painted: float
    measured: Estimate
    before: Estimate
    n: int


@dataclass(frozen=True)
class PairResponse:
    """n: pairs. attribute: the size of the lesion, in `unit`. false_before: of the pairs without lesion in the first
    image, the share where one was segmented there. found_after: of those with a lesion in the second image, the share
    where one was segmented. false_healed: of those with a lesion in the first image and none in the second, the share
    where one was segmented in the second. seam: how rough the border of the painted region is next to the given image,
    see `seam.py`; the mean. change: segmented change of size against the painted one, within pairs. doses: ascending.
    places: how well the place of the lesions was found in the second images.
    """

    n: int
    attribute: str
    unit: str
    without_before: int
    n_false_before: int
    false_before: Estimate
    with_after: int
    n_found_after: int
    found_after: Estimate
    change: Agreement
    doses: tuple[Dose, ...]
    places: tuple[PlaceFigure, ...] = ()
    healed: int = 0
    n_false_healed: int = 0
    false_healed: Estimate = NO_ESTIMATE
    seam: Estimate = NO_ESTIMATE


def pair_response(attribute: str, unit: str, painted: Shares, measured: Shares, groups: NDArray[np.int64],
                  clusters: NDArray[np.int64], replicates: int = 1000, seed: int = 0,
                  places: tuple[PlaceFigure, ...] = (), seams: Shares | None = None) -> PairResponse:
    """The response of P pairs.

    painted, measured: (P, 2) sizes in the first and the second image. groups: (P,) which pairs make a dose; clusters:
    (P,) which are of one heart, and are resampled as a whole. seams: (P,) of `seam_ratio`, NaN where there is none.
    """
    without, scarred = painted[:, 0] == 0, painted[:, 1] > 0
    false, found = int((without & (measured[:, 0] > 0)).sum()), int((scarred & (measured[:, 1] > 0)).sum())
    healed = (painted[:, 0] > 0) & (painted[:, 1] == 0)
    traces = int((healed & (measured[:, 1] > 0)).sum())
    doses = [_dose(painted[groups == number], measured[groups == number], clusters[groups == number], replicates, seed)
             for number in np.unique(groups)]
    return PairResponse(
        len(painted), attribute, unit, int(without.sum()), false,
        clustered_rate(measured[without, 0] > 0, clusters[without], replicates, seed), int(scarred.sum()), found,
        clustered_rate(measured[scarred, 1] > 0, clusters[scarred], replicates, seed),
        agreement(painted[:, 1] - painted[:, 0], measured[:, 1] - measured[:, 0], clusters, replicates, seed),
        tuple(sorted(doses, key=lambda dose: dose.painted)), places,
        int(healed.sum()), traces, clustered_rate(measured[healed, 1] > 0, clusters[healed], replicates, seed),
        NO_ESTIMATE if seams is None else mean_estimate(seams, clusters, replicates, seed))


def _dose(painted: Shares, measured: Shares, clusters: NDArray[np.int64], replicates: int, seed: int) -> Dose:
    before, after = (mean_estimate(values, clusters, replicates, seed) for values in measured.T)
    return Dose(float(painted[:, 1].mean()), after, before, len(painted))


def size_bins(painted: Shares) -> NDArray[np.int64]:
    """(P,) the bin of each painted size, of at most MOST_DOSES with about as many pairs each."""
    return bins_of(painted, bin_edges(painted, np.ones(len(painted), np.bool_), MOST_DOSES))

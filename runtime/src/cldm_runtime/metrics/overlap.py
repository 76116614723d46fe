"""Overlap of a segmentation with a reference mask: Dice, Hausdorff distances and surface distance in millimetres.

| symbol | here |
|---|---|
| A, B | a region of the prediction, of the reference |
| S(A) | surface of A: its pixels with a face neighbour outside A; outside the image counts as background |
| d(a, S(B)) | distance of a pixel centre to the nearest pixel centre of S(B), in mm |
| Dice | 2 |A and B| / (|A| + |B|) |
| HD | the largest d, over both directions |
| HD95 | the larger of the two directed 95th percentiles (linear interpolation between order statistics) |
| ASSD | the mean of d over S(A) and S(B) together (Heimann et al., IEEE TMI 2009) |

docs/metrics.md defines each metric for a region that is empty on one side or on both. A distance is then NaN, and its
reason is stored with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet
from ..errors import InputError
from .boxes import bounding_box

METRICS: Mapping[str, str] = {"dice": "1", "hd_mm": "mm", "hd95_mm": "mm", "assd_mm": "mm"}
DEFINITION = 1  # increased whenever one of the definitions above or the rule for empty masks changes


class ScoreReason(IntEnum):
    """Why a score is NaN. The numbers are part of the dataset format."""

    MEASURED = 0
    BOTH_EMPTY = 1  # neither side has the region: agreement on absence, a true negative
    REFERENCE_EMPTY = 2  # only the segmentation has the region: a false detection
    PREDICTION_EMPTY = 3  # only the reference has the region: a miss
    FREE_CLASS = 4  # the reference leaves the region free, so it has none


@dataclass(frozen=True)
class Scores:
    """Values (N, S) float32, NaN where undefined, with a `ScoreReason` for each, (N, S) uint8.

    Column names are `<region>_<metric>`, as in `tumour_hd95_mm`.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: NDArray[np.float32]
    reasons: NDArray[np.uint8]

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self.values[:, self.names.index(name)]

    def why(self, name: str) -> NDArray[np.uint8]:
        """The reasons of one column."""
        return self.reasons[:, self.names.index(name)]


@dataclass(frozen=True)
class Spread:
    """Mean, standard deviation (n - 1) and quartiles of the `n` values that are not NaN; NaN if n is too small."""

    n: int
    mean: float
    sd: float
    median: float
    q25: float
    q75: float


@dataclass(frozen=True)
class RegionSummary:
    """One region over a dataset.

    `dice` covers the samples whose reference has the region (a miss counts 0); `dice_with_absence` covers all samples,
    agreement on absence counting 1 and a false detection 0; the distances cover the samples where both have it.
    `false_rate` = n_false / n_empty_reference, NaN if every reference has the region.
    """

    region: str
    n: int
    n_empty_reference: int
    n_empty_prediction: int
    n_both_empty: int
    n_missed: int
    n_false: int
    false_rate: float
    dice: Spread
    dice_with_absence: Spread
    hd_mm: Spread
    hd95_mm: Spread
    assd_mm: Spread


def score_names(labels: LabelSet) -> tuple[str, ...]:
    """Columns of `Scores`, region by region."""
    return tuple(f"{region}_{metric}" for region, metric in product(labels.regions, METRICS))


def score_units(labels: LabelSet) -> tuple[str, ...]:
    """The unit of each of `score_names`."""
    return tuple(METRICS.values()) * len(labels.regions)


def score(prediction: LabelMap, reference: LabelMap, labels: LabelSet, spacing_mm: tuple[float, ...]) -> Scores:
    """Score (N, *spatial) label maps, region by region.

    `spacing_mm` has one entry for each spatial axis. Raises InputError if shapes or spacing do not match.
    """
    if prediction.shape != reference.shape:
        raise InputError(f"score: the segmentation has shape {prediction.shape}, the reference {reference.shape}. "
                         "Both must be label maps of the same samples on the same grid.")
    if len(spacing_mm) != prediction.ndim - 1:
        raise InputError(f"score: spacing {spacing_mm} has {len(spacing_mm)} entries, the label maps have "
                         f"{prediction.ndim - 1} spatial axes. Give one spacing for each.")
    names = score_names(labels)
    values = np.full((len(prediction), len(names)), np.nan, dtype=np.float32)
    reasons = np.zeros(values.shape, dtype=np.uint8)
    for number, region in enumerate(labels.regions):
        a, b = labels.region(prediction, region), labels.region(reference, region)
        for sample in range(len(prediction)):
            columns = slice(number * len(METRICS), (number + 1) * len(METRICS))
            values[sample, columns], reasons[sample, columns] = score_pair(a[sample], b[sample], spacing_mm)
    return Scores(names, score_units(labels), values, reasons)


def score_pair(prediction: NDArray[np.bool_], reference: NDArray[np.bool_],
               spacing_mm: tuple[float, ...]) -> tuple[tuple[float, float, float, float], tuple[int, int, int, int]]:
    """(Dice, HD, HD95, ASSD) of two binary masks, and the reason of each."""
    size_a, size_b = int(prediction.sum()), int(reference.sum())
    if size_a == 0 and size_b == 0:
        return (np.nan,) * 4, (ScoreReason.BOTH_EMPTY,) * 4
    if size_a == 0 or size_b == 0:
        reason = ScoreReason.PREDICTION_EMPTY if size_a == 0 else ScoreReason.REFERENCE_EMPTY
        return (0.0, np.nan, np.nan, np.nan), (ScoreReason.MEASURED, reason, reason, reason)
    dice = 2 * int((prediction & reference).sum()) / (size_a + size_b)
    a, b = surface_distances(prediction, reference, spacing_mm)
    hd = max(float(a.max()), float(b.max()))
    hd95 = max(float(np.percentile(a, 95)), float(np.percentile(b, 95)))
    assd = float(np.concatenate([a, b]).mean())
    return (dice, hd, hd95, assd), (ScoreReason.MEASURED,) * 4


def surface(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of the mask with a face neighbour outside it; outside the image counts as background."""
    from scipy.ndimage import binary_erosion  # here, because it takes 0.2 s to import

    inner: NDArray[np.bool_] = binary_erosion(mask)
    return mask & ~inner


def surface_distances(a: NDArray[np.bool_], b: NDArray[np.bool_],
                      spacing_mm: tuple[float, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distances in mm of every surface pixel of `a` to the surface of `b`, and the other way. Neither may be empty."""
    box = bounding_box(a | b)  # a tight box is enough: all pixels outside it are background for both
    surface_a, surface_b = surface(a[box]), surface(b[box])
    from scipy.ndimage import distance_transform_edt

    to_b = distance_transform_edt(~surface_b, sampling=spacing_mm)
    to_a = distance_transform_edt(~surface_a, sampling=spacing_mm)
    return to_b[surface_a], to_a[surface_b]


def summarise(scores: Scores) -> tuple[RegionSummary, ...]:
    """One `RegionSummary` for each region of the scores."""
    regions = [name.removesuffix("_dice") for name in scores.names if name.endswith("_dice")]
    return tuple(_summarise_region(scores, region) for region in regions)


def spread(values: NDArray[np.floating]) -> Spread:
    """Mean, standard deviation and quartiles of the values that are not NaN."""
    numbers = values[~np.isnan(values)].astype(np.float64)
    if numbers.size == 0:
        return Spread(0, *(float("nan"),) * 5)
    q25, median, q75 = (float(q) for q in np.percentile(numbers, [25, 50, 75]))
    sd = float(numbers.std(ddof=1)) if numbers.size > 1 else float("nan")
    return Spread(int(numbers.size), float(numbers.mean()), sd, median, q25, q75)


def _summarise_region(scores: Scores, region: str) -> RegionSummary:
    reasons = scores.why(f"{region}_hd_mm")
    both, false, missed = (reasons == reason for reason in (
        ScoreReason.BOTH_EMPTY, ScoreReason.REFERENCE_EMPTY, ScoreReason.PREDICTION_EMPTY))
    empty_reference = both | false
    dice = scores[f"{region}_dice"]
    distances = {metric: spread(scores[f"{region}_{metric}"]) for metric in METRICS if metric != "dice"}
    n_empty, n_false = int(empty_reference.sum()), int(false.sum())
    return RegionSummary(
        region, n=int((reasons != ScoreReason.FREE_CLASS).sum()), n_empty_reference=n_empty,
        n_empty_prediction=int((both | missed).sum()),
        n_both_empty=int(both.sum()), n_missed=int(missed.sum()), n_false=n_false,
        false_rate=n_false / n_empty if n_empty else float("nan"),
        dice=spread(dice[~empty_reference]), dice_with_absence=spread(np.where(both, 1.0, dice)), **distances)

"""Lesion-wise Dice and HD95, by the definitions of the BraTS 2023 challenge for gliomas.

| step | rule |
|---|---|
| lesions of the reference | pieces (26 neighbours) of the region; pieces whose dilations touch are one lesion |
| dilation | 3 times, with the 18 neighbours |
| prediction of a lesion | all predicted pieces (26 neighbours) that touch the dilated lesion; some belong to several |
| scores of a lesion | Dice and HD95 of these whole pieces and the lesion, not dilated; if there is none, 0 and 374 mm |
| small lesions | of up to 50 mm3 do not count; the pieces that they explain are not false |
| false lesions | predicted pieces that touch no dilated lesion, of any size: 0 and 374 mm each |
| score of a sample | mean over its lesions and false lesions; 1 and 0 mm where there is neither |

HD95 is that of `surface_elements.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet, nested_chain
from ..errors import InputError
from .agreement import Estimate, mean_estimate
from .overlap import ScoreReason, Scores
from .surface_elements import weighted_hd95_mm

DILATIONS, SMALL_MM3, PENALTY_MM = 3, 50.0, 374.0
LESION_METRICS: Mapping[str, str] = {"dice_by_lesion": "1", "hd95_by_lesion_mm": "mm", "lesions_found": "count",
                                     "lesions_missed": "count", "lesions_false": "count", "hd95_brats_mm": "mm"}


@dataclass(frozen=True)
class LesionScore:
    """Of one region of a sample: means over lesions, numbers of lesions, and HD95 of the whole region, 374 mm where one
    side is empty and 0 where both are."""

    dice: float
    hd95_mm: float
    found: int
    missed: int
    false: int
    whole_hd95_mm: float


def has_nested_regions(labels: LabelSet) -> bool:
    """Whether each region of at least two lies within the next larger one, as those of BraTS do."""
    return len(nested_chain(labels.regions)) > 1


def lesion_names(labels: LabelSet) -> tuple[str, ...]:
    """Columns of `score_lesions`, region by region."""
    return tuple(f"{region}_{metric}" for region in labels.regions for metric in LESION_METRICS)


def lesion_units(labels: LabelSet) -> tuple[str, ...]:
    """The unit of each of `lesion_names`."""
    return tuple(LESION_METRICS.values()) * len(labels.regions)


def score_lesions(prediction: LabelMap, reference: LabelMap, labels: LabelSet, spacing_mm: tuple[float, ...]
                  ) -> Scores:
    """Score (N, Z, Y, X) label maps, region by region. Raises InputError if shapes or spacing do not fit."""
    if prediction.shape != reference.shape or prediction.ndim != 4 or len(spacing_mm) != 3:
        raise InputError(f"score_lesions: found label maps of shape {prediction.shape} and {reference.shape} and "
                         f"spacing {spacing_mm}, expected two of one shape (N, Z, Y, X) and three numbers.")
    z_mm, y_mm, x_mm = spacing_mm
    rows = []
    for found, expected in zip(prediction, reference, strict=True):
        row = list[float]()
        for region in labels.regions:
            one = score_region(labels.region(found, region), labels.region(expected, region), (z_mm, y_mm, x_mm))
            row += [one.dice, one.hd95_mm, one.found, one.missed, one.false, one.whole_hd95_mm]
        rows.append(row)
    values = np.array(rows, np.float32).reshape(len(prediction), len(lesion_names(labels)))
    return Scores(lesion_names(labels), lesion_units(labels), values,
                  np.full(values.shape, ScoreReason.MEASURED, np.uint8))


def score_region(prediction: NDArray[np.bool_], reference: NDArray[np.bool_],
                 spacing_mm: tuple[float, float, float]) -> LesionScore:
    """The lesion-wise scores of two (Z, Y, X) masks."""
    from scipy import ndimage  # here, because it takes 0.2 s to import

    neighbours = np.ones((3, 3, 3))
    pieces, count = ndimage.label(prediction, neighbours)
    dilated = ndimage.binary_dilation(reference, ndimage.generate_binary_structure(3, 2), DILATIONS)
    lesions, _ = ndimage.label(dilated, neighbours)
    explained, dice, hd95, found = set[int](), list[float](), list[float](), 0
    for number, box in enumerate(ndimage.find_objects(lesions), 1):
        around = lesions[box] == number
        touching = np.unique(pieces[box][around])
        touching = touching[touching > 0]
        explained.update(touching.tolist())
        lesion = np.zeros(reference.shape, np.bool_)
        lesion[box] = around & reference[box]
        if lesion.sum() * np.prod(spacing_mm) <= SMALL_MM3:
            continue
        predicted = np.isin(pieces, touching) if len(touching) else np.zeros_like(lesion)
        dice.append(2 * int((predicted & lesion).sum()) / (int(predicted.sum()) + int(lesion.sum())))
        hd95.append(_penalised(weighted_hd95_mm(predicted, lesion, spacing_mm)))
        found += len(touching) > 0
    false = count - len(explained)
    counted = len(dice) + false
    return LesionScore(sum(dice) / counted if counted else 1.0,
                       (sum(hd95) + false * PENALTY_MM) / counted if counted else 0.0, found, len(dice) - found, false,
                       _penalised(weighted_hd95_mm(prediction, reference, spacing_mm)))


def _penalised(hd95_mm: float) -> float:
    return hd95_mm if np.isfinite(hd95_mm) else PENALTY_MM


@dataclass(frozen=True)
class LesionSummary:
    """One region over samples, by the definitions of BraTS 2023: means over samples with intervals. dice, hd95_mm: by
    lesion. whole_dice (1 where both sides are empty), whole_hd95_mm: of the whole region. n_found, n_missed, n_false:
    lesions of all samples; false_a_sample: false lesions of a sample."""

    region: str
    n: int
    dice: Estimate
    hd95_mm: Estimate
    whole_dice: Estimate
    whole_hd95_mm: Estimate
    n_found: int
    n_missed: int
    n_false: int
    false_a_sample: Estimate


def summarise_lesions(scores: Scores, clusters: NDArray[np.generic] | None = None) -> tuple[LesionSummary, ...]:
    """One summary for each region that was scored by lesion; empty without such scores. clusters: (N,) what a bootstrap
    draws as a whole."""
    ending = "_dice_by_lesion"
    regions = [name.removesuffix(ending) for name in scores.names if name.endswith(ending)]
    return tuple(_summarise(scores, region, clusters) for region in regions)


def _summarise(scores: Scores, region: str, clusters: NDArray[np.generic] | None) -> LesionSummary:
    def mean(values: NDArray[np.float32]) -> Estimate:
        return mean_estimate(values.astype(np.float64), clusters)

    both_empty = scores.why(f"{region}_hd_mm") == ScoreReason.BOTH_EMPTY
    counts = [scores[f"{region}_lesions_{kind}"] for kind in ("found", "missed", "false")]
    found, missed, false = (int(each.sum()) for each in counts)
    return LesionSummary(region, len(both_empty), mean(scores[f"{region}_dice_by_lesion"]),
                         mean(scores[f"{region}_hd95_by_lesion_mm"]),
                         mean(np.where(both_empty, np.float32(1.0), scores[f"{region}_dice"])),
                         mean(scores[f"{region}_hd95_brats_mm"]), found, missed, false, mean(counts[2]))

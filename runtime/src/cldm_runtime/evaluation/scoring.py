"""All scores of label maps against a reference: those of `metrics/overlap.py` and, for volumes whose regions are nested
as those of BraTS, the lesion-wise ones of `metrics/lesions.py` too."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..metrics.lesions import LESION_METRICS, has_nested_regions, lesion_names, lesion_units, score_lesions
from ..metrics.overlap import METRICS, ScoreReason, Scores, score
from ..metrics.overlap import score_names as overlap_names
from ..metrics.overlap import score_units as overlap_units


def is_scored_by_lesion(domain: Domain) -> bool:
    """Whether lesions are counted and scored one by one."""
    return domain.axes == 3 and has_nested_regions(domain.labels)


def score_names(domain: Domain) -> tuple[str, ...]:
    """Columns of `score_labels`."""
    return overlap_names(domain.labels) + (lesion_names(domain.labels) if is_scored_by_lesion(domain) else ())


def score_units(domain: Domain) -> tuple[str, ...]:
    """The unit of each of `score_names`."""
    return overlap_units(domain.labels) + (lesion_units(domain.labels) if is_scored_by_lesion(domain) else ())


def score_labels(prediction: LabelMap, reference: LabelMap, domain: Domain, spacing_mm: tuple[float, ...]) -> Scores:
    """Score (N, *spatial) label maps. Raises InputError if shapes or spacing do not match."""
    whole = score(prediction, reference, domain.labels, spacing_mm)
    if not is_scored_by_lesion(domain):
        return whole
    lesions = score_lesions(prediction, reference, domain.labels, spacing_mm)
    return Scores(whole.names + lesions.names, whole.units + lesions.units,
                  np.concatenate([whole.values, lesions.values], axis=1),
                  np.concatenate([whole.reasons, lesions.reasons], axis=1))


def without_free(scores: Scores, free: Sequence[str]) -> Scores:
    """The scores without those of regions that the reference leaves free."""
    names = {f"{region}_{metric}" for region in free for metric in (*METRICS, *LESION_METRICS)}
    columns = np.array([name in names for name in scores.names])
    return replace(scores, values=np.where(columns, np.float32(np.nan), scores.values),
                   reasons=np.where(columns, np.uint8(ScoreReason.FREE_CLASS), scores.reasons))

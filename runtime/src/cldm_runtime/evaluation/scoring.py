"""All scores of label maps against a reference: those of `metrics/overlap.py` and, for volumes whose regions are nested
as those of BraTS, the lesion-wise ones of `metrics/lesions.py` too."""

import numpy as np

from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..metrics.lesions import has_nested_regions, lesion_names, lesion_units, score_lesions
from ..metrics.overlap import Scores, score
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

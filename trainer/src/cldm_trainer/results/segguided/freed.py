"""Images whose label maps leave one class free: do the kept classes stay, and does the free one vary?

| symbol | here |
|---|---|
| a | area of the free class: in the segmenter's label map of an image, in pixels |
| k | areas of all labels in the closed label map, in which the free class is not told |
| s | standard deviation of what is left of a after least squares on k: how the class varies, given the kept ones |
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.domains.free_classes import closed, is_region_known, kept_classes
from cldm_runtime.metrics.agreement import Estimate, bootstrap, mean_estimate

from .figures import difference_of_means
from .segmented import SegmentedSlices

Json = dict[str, Any]
Values = NDArray[np.float64]
_ROUNDING = 1e-6  # square pixels


def kept_names(names: Sequence[str], free: str) -> list[str]:
    """All classes but the background and the free one."""
    return [name for name in names[1:] if name != free]


def freed_figures(made: SegmentedSlices, whole: SegmentedSlices, original: SegmentedSlices, free: str,
                  replicates: int) -> Json:
    """made: with the class `free` left free; whole: with none; original: the cohort's slices; all of the same rows.

    kept: Dice of the kept regions minus that of `whole`, mean over them. spread: s of the images over s of the cohort's
    slices. drawn: share of the images and of the cohort's slices that show the class.
    """
    domain, patients = made.truth.domain, made.truth.patients
    kept = kept_classes(kept_names(domain.labels.names, free), domain.labels)
    columns = [number for number, region in enumerate(domain.labels.regions)
               if is_region_known(region, kept, domain.labels)]
    label = domain.labels.names.index(free)
    known = areas(closed(made.masks, kept, domain.labels), np.flatnonzero(kept))
    shown = {name: areas(chosen.found, [label])[:, 0] for name, chosen in (("made", made), ("original", original))}
    return {"slices": len(patients),
            "kept_regions": [list(domain.labels.regions)[column] for column in columns],
            "kept": asdict(difference_of_means(made.outcomes.dice[:, columns], whole.outcomes.dice[:, columns],
                                               patients, replicates)),
            "spread": asdict(spread_ratio(shown["made"], shown["original"], known, patients, replicates)),
            "drawn": {name: asdict(mean_estimate(area > 0, patients, replicates)) for name, area in shown.items()}}


def areas(maps: NDArray[np.uint8], labels: Sequence[int] | NDArray[np.int64]) -> Values:
    """(N, L) pixels of each label in maps (N, *spatial)."""
    flat = maps.reshape(len(maps), -1)
    return np.stack([(flat == label).sum(axis=1) for label in labels], axis=1).astype(np.float64)


def spread_ratio(made: Values, reference: Values, known: Values, patients: NDArray[np.str_],
                 replicates: int) -> Estimate:
    """s of areas (N,) over s of reference areas (N,), given the areas (N, L) of what is known. Fits are not drawn."""
    squares = np.stack([unexplained(values, known) ** 2 for values in (made, reference)], axis=1)
    return bootstrap(squares, patients, _root_of_ratio, replicates, 0)[0]


def unexplained(values: Values, known: Values) -> Values:
    """(N,) what least squares on a constant and the columns of `known` leaves of the values."""
    design = np.concatenate([np.ones((len(known), 1)), known / max(float(known.max(initial=0.0)), 1.0)], axis=1)
    return np.asarray(values - design @ np.linalg.lstsq(design, values, rcond=None)[0])


def _root_of_ratio(sums: Values) -> Values:
    """(..., 2) -> (..., 1); NaN where the kept classes explain the reference, up to rounding."""
    a, b = sums[..., :1], sums[..., 1:]
    return np.asarray(np.sqrt(np.divide(a, b, out=np.full(a.shape, np.nan), where=b > _ROUNDING)))

"""Rates and overlap of a measured set with intervals by patient. The seeds of a slice, and the slices of a patient, are
not independent: a patient's images fall together."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.evaluation.summary import Samples
from cldm_runtime.metrics.agreement import Estimate, clustered_rate, mean_estimate
from cldm_runtime.metrics.overlap import ScoreReason
from cldm_runtime.store import open_dataset

from .lesion_size import sized_pixels

Json = dict[str, Any]


def by_patient(samples: Samples, path: Path, segmentation: str) -> Json:
    """false_rate, false_sized, missed_rate of the domain's lesion, None in a domain without one, and the mean Dice of
    each region (a miss counts 0). path, segmentation: where the samples' found label maps are."""
    dice = {region: asdict(_dice(samples, region)) for region in samples.domain.labels.regions
            if samples.scores is not None}
    held = samples.with_lesion
    if samples.domain.lesion is None or held is None:
        return {"false_rate": None, "false_sized": None, "missed_rate": None, "dice": dice}
    pixels, limit = found_pixels(samples, path, segmentation), _limit(path)
    return {"false_rate": asdict(_rate(pixels > 0, ~held, samples)),
            "false_sized": asdict(_rate(pixels > limit, ~held, samples)),
            "missed_rate": asdict(_rate(pixels == 0, held, samples)), "dice": dice}


def found_pixels(samples: Samples, path: Path, segmentation: str) -> NDArray[np.int64]:
    """(N,) pixels of the lesion in the found label maps."""
    domain, counts = samples.domain, np.zeros(len(samples), dtype=np.int64)
    with open_dataset(path) as dataset:
        found, step = dataset.segmentation(segmentation), dataset.rows_at_once
        for start in range(0, len(samples), step):
            maps = found.masks(samples.rows[start:start + step])
            region = domain.labels.region(maps, domain.lesion or "")
            counts[start:start + step] = region.reshape(len(maps), -1).sum(axis=1)
    return counts


def _limit(path: Path) -> float:
    with open_dataset(path) as dataset:
        return sized_pixels(dataset.spacing_mm)


def _rate(hits: NDArray[np.bool_], trials: NDArray[np.bool_], samples: Samples) -> Estimate:
    clusters = samples.clusters[1]
    return clustered_rate(hits[trials], None if clusters is None else clusters[trials])


def _dice(samples: Samples, region: str) -> Estimate:
    assert samples.scores is not None
    reasons = samples.scores.why(f"{region}_hd_mm")
    held = np.isin(reasons, (ScoreReason.MEASURED, ScoreReason.PREDICTION_EMPTY))
    clusters = samples.clusters[1]
    return mean_estimate(samples.scores[f"{region}_dice"][held], None if clusters is None else clusters[held])

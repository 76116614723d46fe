"""Reads the variance that an ensemble segmenter stored beside its label maps, and judges it against the reference."""

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet
from ..errors import DatasetError
from ..metrics.doubt import DoubtTally, RegionDoubt, case_doubt, near_region, selective_dice
from ..metrics.uncertainty import spearman
from ..store import Dataset
from .summary import REPLICATES, Samples


def read_doubt(dataset: Dataset, name: str, samples: Samples, seed: int = 0, replicates: int = REPLICATES
               ) -> tuple[RegionDoubt, ...]:
    """The doubt of each channel of the variance of the segmentation `name`; empty without a variance or a reference.
    One sample is in memory at a time. Raises DatasetError for channels that the domain does not know, and InputError
    for values that are no variance."""
    segmentation = dataset.segmentation(name)
    if "variance" not in segmentation or "masks" not in dataset:
        return ()
    labels, names = samples.domain.labels, segmentation.variance_names
    unknown = [channel for channel in names if channel not in labels.regions and channel not in labels.names]
    if unknown:
        raise DatasetError(f"{dataset.path}: the variance of segmentation {name!r} has the channel {unknown[0]!r}, "
                           f"which is no region or label of domain {samples.domain.name}. Segment again.")
    tallies = [(DoubtTally(), DoubtTally()) for _ in names]
    dice, doubt = np.full((2, len(names), len(samples)), np.nan)
    for position, row in enumerate(samples.rows.tolist()):
        variance, found, expected = segmentation.variance(row), segmentation.masks(row), dataset.reference(row)
        for channel, (near, everywhere) in enumerate(tallies):
            answer, truth = (_part(each, labels, names[channel]) for each in (found, expected))
            close = near_region(variance[channel], answer, truth)
            everywhere.add(variance[channel], answer != truth)
            near.add(variance[channel][close], (answer != truth)[close])
            size = int(answer.sum()) + int(truth.sum())
            dice[channel, position] = 2 * int((answer & truth).sum()) / size if size else 1.0
            doubt[channel, position] = case_doubt(variance[channel], answer)
    return tuple(RegionDoubt(
        channel, near.figures(), everywhere.figures(), selective_dice(dice[number], doubt[number]),
        selective_dice(dice[number], -dice[number]),
        spearman(_finite(doubt[number]), dice[number], replicates, seed, samples.clusters[1]))
        for number, (channel, (near, everywhere)) in enumerate(zip(names, tallies, strict=True)))


def _part(maps: LabelMap, labels: LabelSet, name: str) -> NDArray[np.bool_]:
    """Where a region is, or a label that is no region's name."""
    return labels.region(maps, name) if name in labels.regions else maps == labels.names.index(name)


def _finite(doubt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks want numbers: doubt without an answer is above all others."""
    highest = doubt[np.isfinite(doubt)].max(initial=0.0)
    return np.where(np.isfinite(doubt), doubt, highest + 1.0)

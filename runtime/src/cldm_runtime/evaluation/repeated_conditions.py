"""Finds the repeated conditions of a dataset file and measures the spread of their images, one condition at a time."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from ..metrics.agreement import mean_estimate
from ..metrics.uncertainty import (
    AttributeSpread,
    ConditionSpread,
    Uncertainty,
    attribute_spread,
    condition_spread,
    disagreement,
    image_spread,
    pixel_calibration,
    pixel_tally,
)
from ..store import Dataset
from .summary import ALL, REPLICATES, Samples

EXAMPLES = 4  # conditions that are pictured

Positions = NDArray[np.int64]  # positions of samples in `Samples`


class ConditionImages(NamedTuple):
    """Images (K, C, *spatial) of one condition, label maps (K, *spatial) of the segmentation, and truth: the mask
    (*spatial), or None if the file has none."""

    images: NDArray[np.float32]
    labels: LabelMap
    truth: LabelMap | None


def read_uncertainty(dataset: Dataset, name: str, samples: Samples, seed: int = 0,
                     replicates: int = REPLICATES) -> Uncertainty | None:
    """Uncertainty of the segmentation `name` over repeated conditions; None if no condition has two of the samples."""
    groups = repeated_conditions(samples)
    if not groups:
        return None
    n_labels, sizes = len(samples.domain.labels), [len(positions) for positions in groups.values()]
    first = [positions[0] for positions in groups.values()]
    patients = None if samples.patients is None else samples.patients[first]
    deviations, disputes, tallies = [], [], []
    for positions in groups.values():
        condition = read_condition(dataset, name, samples, positions)
        mode, disputed = disagreement(condition.labels, n_labels)
        seen = (condition.labels > 0).any(axis=0)
        deviations.append(image_spread(condition.images)[1].mean())
        disputes.append(disputed[seen].mean() if seen.any() else np.nan)
        if condition.truth is not None:
            tallies.append(pixel_tally(disputed, mode != condition.truth))
    return Uncertainty(
        len(groups), sum(sizes), len(samples) - sum(sizes), min(sizes), max(sizes),
        mean_estimate(deviations, patients, replicates, seed), mean_estimate(disputes, patients, replicates, seed),
        tuple(attribute_spreads(samples, groups, seed, replicates)),
        pixel_calibration(tallies, replicates, seed, patients) if tallies else None, _examples(list(groups), disputes))


def repeated_conditions(samples: Samples) -> dict[int, Positions]:
    """Positions of the samples of every condition that has two or more, by its number."""
    if samples.condition is None:
        return {}
    order = np.argsort(samples.condition, kind="stable")
    numbers, starts = np.unique(samples.condition[order], return_index=True)
    parts = np.split(order, starts[1:])
    return {int(number): part for number, part in zip(numbers, parts, strict=True) if len(part) > 1}


def read_condition(dataset: Dataset, name: str, samples: Samples, positions: Positions) -> ConditionImages:
    rows = samples.rows[positions]
    contiguous = rows[-1] - rows[0] + 1 == len(rows)  # as cldm-gen writes them: a slice is read faster than a list
    chosen = slice(int(rows[0]), int(rows[-1]) + 1) if contiguous else rows
    return ConditionImages(dataset.images(chosen), dataset.segmentation(name).masks(chosen),
                           dataset.masks(int(rows[0])) if "masks" in dataset else None)


def attribute_spreads(samples: Samples, groups: Mapping[int, Positions], seed: int,
                      replicates: int) -> Iterator[AttributeSpread]:
    """The spread of every measured attribute: over all conditions, and over those with the lesion."""
    repeated = np.concatenate(list(groups.values()))
    subsets = {ALL: repeated}
    if samples.with_lesion is not None:
        subsets[f"{samples.domain.lesion} only"] = repeated[samples.with_lesion[repeated]]
    reference = reference_name(samples)
    for column, attribute in enumerate(samples.domain.attributes):
        for name, positions in subsets.items():
            if reference and np.isfinite(samples.attributes[positions, column]).any():
                spread = spread_of(samples, positions, column)
                yield attribute_spread(spread, attribute.name, attribute.unit, reference, name, replicates, seed)


def reference_name(samples: Samples) -> str | None:
    """The reference of the errors: the mask, or the request if there are no masks."""
    return "mask" if samples.mask is not None else "requested" if samples.requested is not None else None


def spread_of(samples: Samples, positions: Positions, column: int) -> ConditionSpread:
    """One attribute of the samples at `positions`, which have conditions and a reference."""
    table = samples.mask if samples.mask is not None else samples.requested
    assert table is not None and samples.condition is not None
    return condition_spread(samples.attributes[positions, column], table[positions, column],
                            samples.condition[positions],
                            None if samples.patients is None else samples.patients[positions])


def _examples(numbers: list[int], disputes: list[float]) -> tuple[int, ...]:
    order = np.argsort(disputes, kind="stable")  # NaN, where nothing was segmented, comes last
    chosen = np.linspace(0, len(order) - 1, min(EXAMPLES, len(order))).round().astype(int)
    return tuple(numbers[order[place]] for place in chosen)

"""Whether the label values of a segmentation are those of the reference, or a permutation of them.

| symbol | here |
|---|---|
| C[a, v] | voxels that the reference gives label a and the segmentation label v, over several samples |
| m | a permutation: value v of the segmentation means label m[v] |

The permutation is the one with the largest sum of 2 C[m[v], v] / (row sum + column sum), the Dice of single labels
(Hungarian method). It is reported where a region has a Dice below 0.3 as it is, and every region more than 0.7 with the
permutation. Dice is that of all voxels pooled.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap, LabelSet

LOW, HIGH = 0.3, 0.7
_TIE = 1e-9  # labels that are nowhere keep their value
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class LabelPermutation:
    """Value v of the segmentation seems to mean label `meant[v]`. dice, dice_renumbered: of each region that occurs,
    as it is and with the values renumbered, pooled over `n_samples`."""

    meant: tuple[int, ...]
    n_samples: int
    dice: Mapping[str, float]
    dice_renumbered: Mapping[str, float]


def confusion(prediction: LabelMap, reference: LabelMap, n_labels: int) -> Counts:
    """(n_labels, n_labels) voxels by label of the reference (row) and of the segmentation (column)."""
    pairs = reference.ravel().astype(np.int64) * n_labels + prediction.ravel()
    return np.bincount(pairs, minlength=n_labels**2).reshape(n_labels, n_labels).astype(np.int64)


def region_dice(counts: Counts, labels: LabelSet) -> dict[str, float]:
    """Dice of every region that occurs on either side, over all voxels."""
    dice = {}
    for region, values in labels.regions.items():
        rows = list(values)
        size = int(counts[rows].sum() + counts[:, rows].sum())
        if size:
            dice[region] = 2 * int(counts[np.ix_(rows, rows)].sum()) / size
    return dice


def find_permutation(counts: Counts, labels: LabelSet, n_samples: int) -> LabelPermutation | None:
    """The permutation that the values seem to have; None where the segmentation agrees as it is, or with none."""
    before = region_dice(counts, labels)
    if not before or min(before.values()) >= LOW:
        return None
    meant = _best_assignment(counts)
    after = region_dice(counts[:, np.argsort(meant)], labels)
    if not after or min(after.values()) <= HIGH:
        return None
    return LabelPermutation(tuple(int(label) for label in meant), n_samples, before, after)


def _best_assignment(counts: Counts) -> NDArray[np.int64]:
    """(L,) the label that each value of the segmentation means."""
    from scipy.optimize import linear_sum_assignment  # here, for it is slow to import and seldom needed

    sizes = counts.sum(axis=1)[:, None] + counts.sum(axis=0)[None]
    dice = 2 * counts / np.maximum(sizes, 1) + _TIE * np.eye(len(counts))
    rows, columns = linear_sum_assignment(dice, maximize=True)
    meant = np.empty(len(counts), dtype=np.int64)
    meant[columns] = rows
    return meant

"""Looks in a dataset file for label values of a segmentation that are permuted."""

import numpy as np

from ..domains.labels import LabelSet
from ..metrics.label_order import LabelPermutation, confusion, find_permutation
from ..store import Dataset
from .summary import Samples

LOOKED_AT = 32  # samples, spread over the reported ones


def read_permutation(dataset: Dataset, name: str, samples: Samples) -> LabelPermutation | None:
    """The permutation that the label values of the segmentation `name` seem to have; None where there are no masks or
    no such sign."""
    if "masks" not in dataset or not len(samples):
        return None
    labels, segmentation = samples.domain.labels, dataset.segmentation(name)
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    rows = np.unique(samples.rows[np.linspace(0, len(samples) - 1, LOOKED_AT).astype(int)])
    for row in rows:
        counts += confusion(segmentation.masks(int(row)), dataset.reference(int(row)), len(labels))
    return find_permutation(counts, labels, len(rows))


def permutation_note(name: str, permutation: LabelPermutation, labels: LabelSet) -> str:
    """What was permutation, what it does to the figures, and what to do."""
    gains = [f"{region} {permutation.dice[region]:.2f} -> {dice:.2f}"
             for region, dice in permutation.dice_renumbered.items() if region in permutation.dice]
    moved = permutation_words(permutation, labels)
    return (f"the label values of segmentation {name} look permuted: {moved}. Renumbered, its Dice would "
            f"be: {', '.join(gains)} (all voxels of {permutation.n_samples} samples). If so, no figure of this report "
            f"is right: write the segmentation again as numpy.array({list(permutation.meant)}, numpy.uint8)[labels], "
            "then measure and report it again.")


def permutation_words(permutation: LabelPermutation, labels: LabelSet) -> str:
    """Which value lies where the reference has which label."""
    moved = [f"its {value} lies where the reference has {label} ({labels.names[label]})"
             for value, label in enumerate(permutation.meant) if value != label]
    return ", ".join(moved)

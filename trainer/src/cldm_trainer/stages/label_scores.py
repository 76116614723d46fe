"""How well a network gives back label maps."""

from collections.abc import Callable

import numpy as np
from torch import Tensor

from ..training.batches import in_batches

Reconstruct = Callable[[Tensor], Tensor]  # label maps (n, H, W) uint8 -> label maps
_BATCH = 32


def score_labels(reconstruct: Reconstruct, masks: Tensor, classes: int) -> tuple[dict[int, float], float]:
    """Dice of each label that occurs in masks (N, H, W), pooled over all of them, and the wrong pixels of a map."""
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for part in in_batches(len(masks), _BATCH):
        pairs = (masks[part].long() * classes + reconstruct(masks[part]).long()).flatten().numpy()
        confusion += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    hits, sizes = np.diag(confusion), confusion.sum(0) + confusion.sum(1)
    dice = {k: 2.0 * float(hits[k]) / float(sizes[k]) for k in range(classes) if confusion[k].sum() > 0}
    return dice, float(confusion.sum() - hits.sum()) / len(masks)

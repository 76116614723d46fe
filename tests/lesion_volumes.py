"""Pairs of label maps with the labels of BraTS: lesions, and what a poor segmenter makes of them."""

import numpy as np
from scipy import ndimage

SHAPE = (44, 48, 40)
PAIRS = 20
REGIONS = {"ET": (3,), "TC": (1, 3), "WT": (1, 2, 3)}


def volume_pair(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(prediction, reference), each (Z, Y, X) uint8. Pair 0 is empty on both sides, 1 in the reference, 2 in the
    prediction; in the others lesions are missed, invented, moved, joined and cut."""
    rng = np.random.default_rng(seed)
    reference, prediction = np.zeros((2, *SHAPE), np.uint8)
    grid = np.stack(np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij"))
    uneven = ndimage.gaussian_filter(rng.standard_normal((2, *SHAPE)), (0, 2, 2, 2))
    uneven *= 1.5 / uneven.std()

    def add(volume: np.ndarray, centre: np.ndarray, radius: float, noise: np.ndarray) -> None:
        depth = radius - np.sqrt(((grid - centre[:, None, None, None]) ** 2).sum(axis=0)) + noise
        volume[(depth > 0) & (volume == 0)] = 2
        volume[depth > 0.35 * radius] = 3
        volume[depth > 0.7 * radius] = 1

    for _ in range(int(rng.integers(1, 6))):
        centre, radius = rng.uniform(5, np.array(SHAPE) - 5), rng.uniform(1.5, 8.0)
        if seed not in (0, 1):
            add(reference, centre, radius, uneven[0])
        if seed not in (0, 2) and rng.random() > 0.2:
            add(prediction, centre + rng.normal(0, 1.5, 3), radius * rng.uniform(0.7, 1.2), uneven[1])
    if seed > 2 and rng.random() > 0.5:
        add(prediction, rng.uniform(5, np.array(SHAPE) - 5), rng.uniform(1.0, 4.0), uneven[1])
    return prediction, reference

"""Sliding-window prediction: where the tiles lie, how they are weighted, and the average over mirrored copies.

The rules are those of nnU-Net v2's predictor; `tests/runtime/segmentation/test_segmenter.py` compares the two. Sums are
kept in float32, where nnU-Net keeps them in float16.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ..bundle.segmenter_spec import SegmenterSpec

Pixels = NDArray[np.float32]
Network = Callable[[Pixels], Pixels]
Cut = tuple[slice, ...]


def tile_starts(size: int, tile: int, step: float) -> list[int]:
    """First pixels of the tiles along one axis: evenly spread, at most `step * tile` apart, the last one flush."""
    last = size - tile
    count = ceil(last / (tile * step)) + 1
    if count == 1:
        return [0]
    return [int(np.round(last / (count - 1) * number)) for number in range(count)]


def gaussian_weights(patch: tuple[int, ...], sigma_scale: float) -> NDArray[np.float32]:
    """Weight of each voxel of a tile: a Gaussian around its centre voxel, largest 1, never 0."""
    from scipy.ndimage import gaussian_filter  # slow to import

    impulse = np.zeros(patch)
    impulse[tuple(side // 2 for side in patch)] = 1
    weights = gaussian_filter(impulse, [side * sigma_scale for side in patch], mode="constant")
    weights /= weights.max()
    smallest = weights[weights > 0].min()
    return np.asarray(np.maximum(weights, smallest), dtype=np.float32)


def mirrored_mean(network: Network, batch: Pixels, axes: Sequence[int]) -> Pixels:
    """Mean of the network's outputs for (N, C, *spatial) under every combination of flips of the spatial `axes`."""
    total = network(batch)  # an engine's output belongs to the caller, and is changed in place
    flips = [tuple(axis + 2 for axis in chosen)
             for count in range(1, len(axes) + 1) for chosen in combinations(axes, count)]
    for flip in flips:
        total += np.flip(network(np.ascontiguousarray(np.flip(batch, flip))), flip)
    total /= len(flips) + 1
    return total


def pad_to_patch(batch: Pixels, patch: tuple[int, ...]) -> tuple[Pixels, Cut]:
    """Zero-pad (N, C, *spatial) to at least the patch, centred, the odd voxel at the end; and the content's box."""
    missing = [max(0, side - size) for side, size in zip(patch, batch.shape[2:], strict=True)]
    before = [count // 2 for count in missing]
    padded = np.pad(batch, [(0, 0), (0, 0), *((b, m - b) for b, m in zip(before, missing, strict=True))])
    return padded, tuple(slice(b, b + size) for b, size in zip(before, batch.shape[2:], strict=True))


def tiles(shape: tuple[int, ...], spec: SegmenterSpec) -> list[Cut]:
    """Boxes of the tiles of a slice or volume that is at least as large as the patch."""
    starts = [tile_starts(size, side, spec.tile_step_size) for size, side in zip(shape, spec.patch_size, strict=True)]
    return [tuple(slice(start, start + side) for start, side in zip(place, spec.patch_size, strict=True))
            for place in product(*starts)]


def predict_logits(network: Network, batch: Pixels, spec: SegmenterSpec, mirror: bool) -> Pixels:
    """Logits (N, K, *spatial) of prepared images (N, C, *spatial), all of one shape."""
    padded, content = pad_to_patch(batch, spec.patch_size)
    axes = spec.mirror_axes if mirror else ()
    boxes = tiles(padded.shape[2:], spec)
    if len(boxes) == 1:
        return mirrored_mean(network, padded, axes)[:, :, *content]
    weights = gaussian_weights(spec.patch_size, spec.gaussian_sigma_scale) if spec.use_gaussian else np.ones(
        spec.patch_size, dtype=np.float32)
    total = np.zeros((len(batch), len(spec.label_values), *padded.shape[2:]), dtype=np.float32)
    weight = np.zeros(padded.shape[2:], dtype=np.float32)
    for box in boxes:
        total[:, :, *box] += mirrored_mean(network, padded[:, :, *box], axes) * weights
        weight[box] += weights
    total /= weight
    return total[:, :, *content]

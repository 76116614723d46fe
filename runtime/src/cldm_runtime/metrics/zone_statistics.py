"""Intensity by zone: of each label, of rings around all labels, and the noise of a whole slice.

| zone | pixels |
|---|---|
| a label | those whose neighbours along every axis carry the same label: borders mix two tissues |
| a ring | background whose distance to the nearest label lies in one of the intervals of `RINGS_MM` |

The statistics of a zone with fewer than `FEWEST` pixels are NaN.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..errors import InputError

RINGS_MM = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
PERCENTILES = (5, 25, 50, 75, 95)
STATISTICS = ("mean", "sd", *(f"p{percentile}" for percentile in PERCENTILES))
FEWEST = 5  # pixels
_TO_DEVIATION = 1.4826  # median absolute deviation -> standard deviation of normal noise

Values = NDArray[np.float64]
Mask = NDArray[np.bool_]


def interior(labels: NDArray[np.integer], values: Collection[int]) -> Mask:
    """Pixels of a (*spatial) label map that carry one of these labels, as do their neighbours along every axis."""
    return np.asarray(ndimage.binary_erosion(np.isin(labels, list(values)), border_value=1))


def rings(labels: NDArray[np.integer], spacing_mm: Sequence[float], edges_mm: Sequence[float] = RINGS_MM) -> list[Mask]:
    """Background pixels of a (*spatial) label map by distance (mm) to the nearest label, in the intervals
    (edge, next edge]; all empty for a map without labels."""
    if not labels.any():
        return [np.zeros(labels.shape, np.bool_) for _ in edges_mm[1:]]
    away = ndimage.distance_transform_edt(labels == 0, sampling=spacing_mm)
    return [(away > low) & (away <= high) for low, high in pairwise(edges_mm)]


def zones(labels: NDArray[np.integer], names: Sequence[str], spacing_mm: Sequence[float]) -> dict[str, Mask]:
    """The zones of a (*spatial) label map by name; `names[v]` is that of label v, 0 the background."""
    found = {name: interior(labels, (value,)) for value, name in enumerate(names) if value}
    edges = [f"ring {low:g}-{high:g} mm" for low, high in pairwise(RINGS_MM)]
    return found | dict(zip(edges, rings(labels, spacing_mm), strict=True))


def statistics(pixels: Values) -> Values:
    """(len(STATISTICS),) of the pixels of a zone; NaN where there are too few."""
    if pixels.size < FEWEST:
        return np.full(len(STATISTICS), np.nan)
    return np.array([pixels.mean(), pixels.std(), *np.percentile(pixels, PERCENTILES)])


def zone_statistics(images: NDArray[np.floating], labels: NDArray[np.integer], names: Sequence[str],
                    spacing_mm: Sequence[float]) -> tuple[list[str], Values]:
    """Columns, such as "infarct mean", and their values (N, F) for images (N, *spatial) with label maps (N, *spatial).

    Raises InputError where the shapes differ.
    """
    if images.shape != labels.shape:
        raise InputError(f"zone statistics: images have shape {images.shape}, label maps {labels.shape}; expected the "
                         "same. Give a label map for each image, of one channel.")
    rows = [_of_one(image.astype(np.float64), zones(labelled, names, spacing_mm))
            for image, labelled in zip(images, labels, strict=True)]
    columns = [f"{zone} {statistic}" for zone in zones(np.zeros_like(labels[0]), names, spacing_mm)
               for statistic in STATISTICS]
    return columns, np.stack(rows)


def _of_one(image: Values, masks: Mapping[str, Mask]) -> Values:
    return np.concatenate([statistics(image[mask]) for mask in masks.values()])


def high_pass_noise(images: NDArray[np.floating]) -> Values:
    """(N,) the standard deviation of fine noise in images (N, H, W), from the median absolute value behind a filter
    that is blind to planes and straight edges along the axes (Immerkaer, Comput Vis Image Underst 1996;64:300-302; the
    median in place of his mean: anatomy weighs less).

    For white noise it is the noise's own deviation; noise that was smoothed by zero-filling reads lower.
    """
    row = np.array([1.0, -2.0, 1.0])
    kernel = np.outer(row, row)
    filtered = [ndimage.convolve(image.astype(np.float64), kernel)[1:-1, 1:-1] for image in images]
    gain = float(np.sqrt((kernel**2).sum()))
    return np.array([_TO_DEVIATION * np.median(np.abs(each)) / gain for each in filtered])

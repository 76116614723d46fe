"""Similarity of images of one condition. A generator that ignores its noise gives one image for each condition.

| symbol | here |
|---|---|
| w | Gaussian window, 11 pixels along each axis, standard deviation 1.5, sum 1; only windows wholly in the image |
| mu, sigma^2, sigma_ab | mean, variance and covariance under w |
| l | (2 mu_a mu_b + C1) / (mu_a^2 + mu_b^2 + C1), C1 = 0.01^2 |
| cs | (2 sigma_ab + C2) / (sigma_a^2 + sigma_b^2 + C2), C2 = 0.03^2 |
| MS-SSIM | product over scales j < M of (mean cs_j)^beta_j, times (mean l cs at scale M)^beta_M |

Each scale halves the one before by the mean of 2 x 2 pixels (of volumes 2 x 2 x 2); an odd last one is left out. A mean
below 0 counts 0. Source: Wang, Simoncelli and Bovik, "Multiscale structural similarity for image quality assessment",
2003.
An image too small for five scales has as many as contain a window, with the weights beta divided by their sum:
128 x 128 pixels have four. Other tools reject these images or shrink the window, so compare values of one definition
only.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InputError
from .agreement import Estimate, mean_estimate

BETA = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW, DEVIATION = 11, 1.5  # pixels
C1, C2 = 0.01**2, 0.03**2  # for intensities in 0..1
_BLOCK_PIXELS = 2**18  # of one side of the pairs in memory at a time; more do not fit in the processor's cache
_TOLERANCE = 1e-3  # by which an intensity may leave 0..1

Values = NDArray[np.float64]
Pixels = NDArray[np.float32]  # single precision: half the time, and within 2e-5 of the result in double


@dataclass(frozen=True)
class Similarity:
    """Mean MS-SSIM of pairs, 1 where they are all equal, with its 95 % bootstrap interval over conditions.

    Each of the `n_conditions` has the same weight, for any number of pairs. n_alone: images without a partner.
    """

    ms_ssim: Estimate
    n_conditions: int
    n_pairs: int
    n_alone: int


def ms_ssim(a: NDArray[np.floating], b: NDArray[np.floating], axes: int = 2) -> Values:
    """MS-SSIM (N,) of images a[i] and b[i], (N, *spatial) or (N, C, *spatial) in 0..1; channels are averaged at each
    scale. axes: spatial axes, 2 of slices, 3 of volumes.

    1 for equal images, about 0 for unrelated ones. Raises InputError for other shapes or values, and for images of
    fewer than 11 pixels a side.
    """
    if a.shape != b.shape:
        raise InputError(f"ms_ssim: found images of shapes {a.shape} and {b.shape}, expected one shape.")
    _check(a, axes)
    _check(b, axes)
    every = np.arange(len(a))
    return _pairs(a, b, every, every, axes)


def scale_weights(*shape: int) -> Values:
    """beta of each scale that an image of that spatial shape permits, sum 1. Raises InputError if not even the first
    holds a window."""
    scales = sum(min(shape) >> scale >= WINDOW for scale in range(len(BETA)))
    if not scales:
        raise InputError(f"ms_ssim: images have {' x '.join(map(str, shape))} pixels, expected at least {WINDOW} along "
                         "each axis.")
    return np.array(BETA[:scales]) / sum(BETA[:scales])


def within_condition_ssim(images: NDArray[np.floating], groups: ArrayLike, replicates: int = 1000,
                          seed: int = 0, axes: int = 2, patients: NDArray[np.str_] | None = None) -> Similarity:
    """Mean MS-SSIM of all pairs of images of one condition, for images as in `ms_ssim` and (N,) condition names. With
    patients (N,) the bootstrap draws those: the conditions of a patient fall together.

    Compare it with that of reference images of one condition, or of any two of them (`random_pair_ssim`): a higher
    value means less variety. Raises InputError.
    """
    names = _checked_groups(images, groups)
    _check(images, axes)
    members = [rows for rows in _members(names) if len(rows) > 1]
    upper = [np.triu_indices(len(rows), 1) for rows in members]
    left = [rows[i] for rows, (i, _) in zip(members, upper, strict=True)]
    right = [rows[j] for rows, (_, j) in zip(members, upper, strict=True)]
    means = [_pairs(images, images, a, b, axes).mean() for a, b in zip(left, right, strict=True)]
    alone = len(names) - sum(map(len, members))
    drawn = None if patients is None else patients[[int(rows[0]) for rows in members]]
    return Similarity(mean_estimate(means, drawn, replicates, seed), len(members), sum(map(len, left)), alone)


def random_pair_ssim(images: NDArray[np.floating], pairs: int = 1000, replicates: int = 1000,
                     seed: int = 0, axes: int = 2) -> Similarity:
    """Mean MS-SSIM of random pairs of different images, each image in at most one pair; each pair is a condition.

    There are at most N // 2 pairs. The draw depends on N and the seed alone. Raises InputError.
    """
    _check(images, axes)
    words = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64)).random_raw(len(images))
    order, count = np.argsort(words, kind="stable"), min(pairs, len(images) // 2)
    values = _pairs(images, images, order[:count], order[count:2 * count], axes)
    return Similarity(mean_estimate(values, None, replicates, seed), count, count, len(images) - 2 * count)


def within_condition_spread(features: NDArray[np.floating], groups: ArrayLike,
                            reference_features: NDArray[np.floating]) -> float:
    """Trace of the covariance of features within conditions over that of all reference features, a ratio of variances.

    features: (N, F), with (N,) condition names; reference_features: (M, F), of references of any condition. Within
    conditions, squared distances from the condition's mean are summed and divided by the degrees of freedom N' - G,
    where G conditions have two or more images, N' in all. 0: the images of a condition are equal; 1: they differ as
    much as any reference images. NaN for G = 0, or if all references are equal. Raises InputError.
    """
    names = _checked_groups(features, groups)
    if features.ndim != 2 or reference_features.ndim != 2 or features.shape[1] != reference_features.shape[1]:
        raise InputError(f"within_condition_spread: features have shapes {features.shape} and "
                         f"{reference_features.shape}, expected (N, F) and (M, F) with the same F.")
    if not (np.isfinite(features).all() and np.isfinite(reference_features).all()):
        raise InputError("within_condition_spread: features must be finite numbers. Leave out the other images.")
    squares, freedom = 0.0, 0
    for rows in _members(names):
        chosen = features[rows].astype(np.float64)
        squares += float(((chosen - chosen.mean(axis=0)) ** 2).sum())
        freedom += len(rows) - 1
    total = float(reference_features.var(axis=0, ddof=1, dtype=np.float64).sum()) if len(reference_features) > 1 else 0
    return squares / freedom / total if freedom and total else float("nan")


def _pairs(a: NDArray[np.floating], b: NDArray[np.floating], left: NDArray[np.int64],
           right: NDArray[np.int64], axes: int) -> Values:
    """(P,) MS-SSIM of a[left] and b[right], in blocks."""
    block = max(1, _BLOCK_PIXELS // max(1, int(np.prod(a.shape[1:]))))
    parts = [_block(a[left[start:start + block]].astype(np.float32), b[right[start:start + block]].astype(np.float32),
                    axes)
             for start in range(0, len(left), block)]
    return np.concatenate(parts) if parts else np.zeros(0)


def _block(a: Pixels, b: Pixels, axes: int) -> Values:
    result = np.ones(len(a))
    weights = scale_weights(*a.shape[-axes:])
    for scale, weight in enumerate(weights, start=1):
        similarity, contrast = ssim_terms(a, b, axes)
        result *= np.maximum(similarity if scale == len(weights) else contrast, 0.0) ** weight
        a, b = _halved(a, axes), _halved(b, axes)
    return result


def ssim_terms(a: Pixels, b: Pixels, axes: int = 2) -> tuple[Values, Values]:
    """Means (N,) of l cs, which is the SSIM of one scale, and of cs."""
    mean_a, mean_b = _smoothed(a, axes), _smoothed(b, axes)
    squares, product = mean_a * mean_a + mean_b * mean_b, mean_a * mean_b
    variances = _smoothed(a * a + b * b, axes) - squares
    contrast = (2 * (_smoothed(a * b, axes) - product) + C2) / (variances + C2)
    similarity = (2 * product + C1) / (squares + C1) * contrast
    every = tuple(range(1, a.ndim))
    return similarity.mean(axis=every, dtype=np.float64), contrast.mean(axis=every, dtype=np.float64)


def _smoothed(images: Pixels, axes: int) -> Pixels:
    """Means under every window that lies wholly in the image: (..., *spatial), each axis 10 shorter."""
    height, width = images.shape[-2:]
    smooth = np.asarray(_window_matrix(height) @ images @ _window_matrix(width).T)
    for axis in range(-axes, -2):
        smooth = np.moveaxis(np.tensordot(_window_matrix(images.shape[axis]), smooth, (1, axis)), 0, axis)
    return np.asarray(smooth, dtype=np.float32)


@cache
def _window_matrix(size: int) -> Pixels:
    """(size - 10, size): row i is the one-dimensional window that begins at pixel i. Products of matrices are faster
    here than 11 shifted sums."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    window = np.exp(-offsets**2 / (2 * DEVIATION**2))
    matrix = np.zeros((size - WINDOW + 1, size), dtype=np.float32)
    for row in range(len(matrix)):
        matrix[row, row:row + WINDOW] = window / window.sum()
    return matrix


def _halved(images: Pixels, axes: int) -> Pixels:
    for axis in range(-axes, -2):
        pairs = np.moveaxis(images, axis, 0)[:images.shape[axis] // 2 * 2]
        images = np.moveaxis((pairs[::2] + pairs[1::2]) / np.float32(2), 0, axis)
    height, width = (size // 2 * 2 for size in images.shape[-2:])
    even = images[..., :height, :width]
    return np.asarray((even[..., ::2, ::2] + even[..., 1::2, ::2] + even[..., ::2, 1::2] + even[..., 1::2, 1::2]) / 4)


def _members(names: NDArray[np.generic]) -> Iterator[NDArray[np.int64]]:
    """The rows of each condition, in the order of their names."""
    order = np.argsort(names, kind="stable")
    _, starts = np.unique(names[order], return_index=True)
    yield from np.split(order, starts[1:])


def _checked_groups(values: NDArray[np.floating], groups: ArrayLike) -> NDArray[np.generic]:
    names = np.asarray(groups)
    if names.shape != values.shape[:1]:
        raise InputError(f"groups has shape {names.shape}, expected a condition for each of {len(values)} images.")
    return names


def _check(images: NDArray[np.floating], axes: int) -> None:
    if images.ndim not in (axes + 1, axes + 2):
        names = ", ".join("DHW"[-axes:])
        raise InputError(f"ms_ssim: images have shape {images.shape}, expected (N, {names}) or (N, C, {names}).")
    scale_weights(*images.shape[-axes:])
    if images.size and not (images.min() >= -_TOLERANCE and images.max() <= 1 + _TOLERANCE):  # NaN fails too
        raise InputError(f"ms_ssim: intensities reach from {images.min()} to {images.max()}, expected 0 to 1.")

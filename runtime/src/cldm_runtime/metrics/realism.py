"""Realism of images apart from their condition: texture, spread of the latents, distance of feature distributions.

| symbol | here |
|---|---|
| share | power above a cut-off frequency over all power but the mean, in a slice under a Hann window |
| spread | standard deviation of synthetic latents over that of reference ones, channel by channel |
| FD | |mu1 - mu2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of two sets of features (Frechet, as in Heusel et al., 2017) |
| k(x, y) | (x . y / F + 1)^3 of two feature vectors of length F |
| KD | mean k(x, x') + mean k(y, y') - 2 mean k(x, y), x' not x, y' not y: the unbiased MMD^2 (Binkowski et al., 2018) |

FD is biased upwards in small samples; KD is not, but scatters around 0. Report both only between sets of equal size,
next to the floor: the distance of two disjoint reference sets of that size (`distances`).
"""

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

CUTOFF_PER_MM = 0.25  # half of the highest frequency of 1 mm pixels

Values = NDArray[np.float64]


def power_spectra(images: NDArray[np.floating], spacing_mm: tuple[float, ...]) -> tuple[Values, Values]:
    """Frequencies in cycles/mm (*spatial), and the power (N, *spatial) of images (N, *spatial): mean removed, Hann
    window along every axis. spacing_mm: one number for each axis."""
    axes, shape = tuple(range(-len(spacing_mm), 0)), images.shape[-len(spacing_mm):]
    window = reduce(np.multiply, np.ix_(*(np.hanning(size + 2)[1:-1] for size in shape)))
    centred = images - images.mean(axis=axes, keepdims=True, dtype=np.float64)
    power = np.abs(np.fft.fftn(centred * window, axes=axes)) ** 2
    steps = np.ix_(*(np.fft.fftfreq(size, step) for size, step in zip(shape, spacing_mm, strict=True)))
    return np.asarray(reduce(np.hypot, steps)), power


def high_frequency_share(images: NDArray[np.floating], spacing_mm: tuple[float, ...],
                         cutoff_per_mm: float = CUTOFF_PER_MM) -> Values:
    """Share (N,) of each image's power, its mean excluded, at or above the cut-off, for images (N, *spatial). NaN for a
    constant image."""
    frequency, power = power_spectra(images, spacing_mm)
    axes = tuple(range(-len(spacing_mm), 0))
    total, high = power.sum(axis=axes), power[:, frequency >= cutoff_per_mm].sum(axis=-1)
    share = np.full(len(images), np.nan)
    np.divide(high, total, out=share, where=images.max(axis=axes) > images.min(axis=axes))
    return share


def high_frequency_ratio(synthetic: NDArray[np.floating], reference: NDArray[np.floating],
                         spacing_mm: tuple[float, ...], cutoff_per_mm: float = CUTOFF_PER_MM) -> float:
    """Mean share of the synthetic images over that of the reference ones: 1 is equal, below 1 is blurred."""
    above = high_frequency_share(synthetic, spacing_mm, cutoff_per_mm)
    below = high_frequency_share(reference, spacing_mm, cutoff_per_mm)
    return float(np.nanmean(above) / np.nanmean(below))


def latent_spread(synthetic: NDArray[np.floating], reference: NDArray[np.floating]) -> Values:
    """(C,) standard deviation of latents (N, C, ...) over that of the reference: below 1 the samples have shrunk."""
    axes = (0, *range(2, synthetic.ndim))
    return np.asarray(synthetic.std(axis=axes, dtype=np.float64) / reference.std(axis=axes, dtype=np.float64))


def frechet_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """FD of two feature sets (N, F) and (M, F). Raises InputError on fewer than two samples or differing F.

    Tr (C1 C2)^(1/2) is the sum of the singular values of C1^(1/2) C2^(1/2), with symmetric roots from eigenvalues: no
    complex numbers, and no failure when there are fewer samples than features.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"frechet_distance: features have shapes {a.shape} and {b.shape}; expected (N, F) and (M, F) "
                         "with the same F and at least two samples each.")
    mean_a, mean_b = a.mean(axis=0, dtype=np.float64), b.mean(axis=0, dtype=np.float64)
    covariance_a, covariance_b = _covariance(a), _covariance(b)
    cross = np.linalg.svd(_root(covariance_a) @ _root(covariance_b), compute_uv=False).sum()
    gap = mean_a - mean_b
    distance = gap @ gap + np.trace(covariance_a) + np.trace(covariance_b) - 2 * cross
    return max(0.0, float(distance))


def kernel_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """KD of two feature sets (N, F) and (M, F). Raises InputError on fewer than two samples or differing F.

    Called KID with the features of Inception (Binkowski, Sutherland, Arbel and Gretton, "Demystifying MMD GANs",
    arXiv 1801.01401). It depends on the scale of the features: compare only distances from the same network.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise InputError(f"kernel_distance: features have shapes {a.shape} and {b.shape}; expected (N, F) and (M, F) "
                         "with the same F and at least two samples each.")
    x, y = a.astype(np.float64), b.astype(np.float64)
    return _mean_of_pairs(x) + _mean_of_pairs(y) - 2 * float(_cubic_kernel(x, y).mean())


def _cubic_kernel(x: Values, y: Values) -> Values:
    """(N, M) values of k."""
    return np.asarray((x @ y.T / x.shape[1] + 1) ** 3)


def _mean_of_pairs(x: Values) -> float:
    """Mean of k over the pairs of different samples."""
    kernel = _cubic_kernel(x, x)
    return float((kernel.sum() - np.trace(kernel)) / (len(x) * (len(x) - 1)))


def _covariance(features: NDArray[np.floating]) -> Values:
    return np.atleast_2d(np.cov(features.astype(np.float64), rowvar=False))


def _root(symmetric: Values) -> Values:
    """The symmetric square root; eigenvalues that rounding made negative count as 0."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)

"""A judge of texture: grey-level co-occurrence, local binary patterns and local statistics."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, stats
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

from .judge import Classes, Features, Judged, Probability, boosted_trees

LEVELS = 32  # of grey
DISTANCES = (1, 2, 4)  # pixels
ANGLES = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy")
PATTERNS = ((8, 1.0), (16, 2.0))  # neighbours, radius in pixels
WINDOWS = (3, 7)  # pixels
PERCENTILES = (5, 25, 50, 75, 95)

Slice = NDArray[np.float64]


class TextureJudge:
    """Co-occurrence, binary patterns and local statistics, by boosted trees."""

    name = "texture"
    looks_at = ("grey-level co-occurrence, local binary patterns, local deviations and gradients, shares of black and "
                "white; boosted trees")

    def describe(self, judged: Judged) -> Features:
        rows = [np.concatenate([_of_slice(channel.astype(np.float64)) for channel in image])
                for image in judged.images]
        return np.stack(rows).astype(np.float32)

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        return boosted_trees(seen, classes, tested, seed)


def _of_slice(image: Slice) -> Slice:
    return np.concatenate([co_occurrence(image), binary_patterns(image), local_statistics(image)])


def co_occurrence(image: Slice) -> Slice:
    """Haralick's properties of an image (H, W) in 0..1: mean over the angles, and the standard deviation over them,
    which detects hatching (Haralick, Shanmugam and Dinstein, IEEE Trans Syst Man Cybern 1973;3:610-621)."""
    grey = np.clip(image * LEVELS, 0, LEVELS - 1).astype(np.uint8)
    matrix = graycomatrix(grey, DISTANCES, ANGLES, LEVELS, symmetric=True, normed=True)
    found = np.stack([graycoprops(matrix, name) for name in PROPERTIES])
    return np.concatenate([found.mean(axis=-1).ravel(), found.std(axis=-1).ravel()])


def binary_patterns(image: Slice) -> Slice:
    """Shares of the uniform, rotation-invariant patterns of an image (H, W) (Ojala, Pietikainen and Maenpaa, IEEE Trans
    Pattern Anal Mach Intell 2002;24:971-987)."""
    grey = np.rint(np.clip(image, 0, 1) * 65535).astype(np.uint16)  # patterns of rounding errors are no texture
    shares = []
    for neighbours, radius in PATTERNS:
        codes = local_binary_pattern(grey, neighbours, radius, "uniform").astype(np.int64)
        shares.append(np.bincount(codes.ravel(), minlength=neighbours + 2) / codes.size)
    return np.concatenate(shares)


def local_statistics(image: Slice) -> Slice:
    """Of an image (H, W): percentiles of the standard deviation in small windows and of the gradient, deviation,
    skewness and kurtosis of what is finer than two pixels, and the shares of black and white."""
    found = []
    for window in WINDOWS:
        mean = ndimage.uniform_filter(image, window)
        deviation = np.sqrt(np.maximum(ndimage.uniform_filter(image**2, window) - mean**2, 0.0))
        found.append(np.percentile(deviation, PERCENTILES))
    gradient = np.hypot(*np.gradient(image))
    fine = (image - ndimage.gaussian_filter(image, 1.0)).ravel()
    shape = [fine.std(), 0.0, 0.0] if fine.std() < 1e-9 else [fine.std(), stats.skew(fine), stats.kurtosis(fine)]
    ends = [(image <= 0).mean(), (image >= 1).mean(), np.percentile(image, 10), image.mean(), image.std()]
    return np.concatenate([*found, np.percentile(gradient, PERCENTILES), shape, ends])

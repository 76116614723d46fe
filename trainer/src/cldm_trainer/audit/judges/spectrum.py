"""A judge of the power spectrum: is there as much fine and coarse detail as in the reference images?"""

import numpy as np

from ..images import Images
from .judge import Classes, Features, Judged, Probability, logistic

_FLOOR = 1e-12  # of the power, for its logarithm


class SpectrumJudge:
    """The radial power spectrum, by logistic regression."""

    name = "power spectrum"
    looks_at = "logarithm of the power at each spatial frequency, mean over directions; logistic regression"

    def describe(self, judged: Judged) -> Features:
        return radial_spectrum(judged.images)

    def decide(self, seen: Features, classes: Classes, tested: Features, seed: int) -> Probability:
        return logistic(seen, classes, tested)


def radial_spectrum(images: Images) -> Features:
    """(n, C * bins) decadic logarithm of the power of images (n, C, H, W) behind a Hann window, the mean subtracted, in
    rings one frequency wide: bin b holds frequencies of b + 0.5 to b + 1.5 periods of the shorter side."""
    height, width = images.shape[-2:]
    window = np.outer(np.hanning(height), np.hanning(width))
    centred = images.astype(np.float64) - images.mean(axis=(-2, -1), keepdims=True)
    power = np.abs(np.fft.fft2(centred * window)) ** 2
    shorter = min(height, width)
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]) * shorter
    number = np.rint(radius).astype(np.int64)
    bins = [power[..., number == ring].mean(axis=-1) for ring in range(1, shorter // 2)]
    return np.log10(np.stack(bins, axis=-1) + _FLOOR).reshape(len(images), -1).astype(np.float32)

"""The band of spatial frequencies that a scanner samples, on the cosine transform (DCT-II, orthonormal).

Symbols: f spatial frequency in cycles a pixel, f_k = k / (2 n) for coefficient k of n pixels; c the cut, the highest
frequency that was sampled along an axis. A scan with fewer samples than the image has pixels is filled with zeros
beyond c. An acquired pixel of p mm has c = spacing / (2 p). The cosine transform stands for the Fourier transform:
it has the same band, white noise stays white, and the two ends of a line do not mix.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NYQUIST = 0.5


@dataclass(frozen=True)
class Taper:
    """How the samples along an axis were weighted: linear between the points (f / c, weight); 1 before the first."""

    shares: tuple[float, ...]
    weights: tuple[float, ...]


SHARP = Taper((1.0, 1.1), (1.0, 0.0))
"""No damping up to the cut."""


def frequencies(size: int) -> Array:
    """(size,) frequencies of the coefficients, cycles a pixel."""
    return np.arange(size) / (2.0 * size)


def pass_band(size: int, cut: Array | float, taper: Taper = SHARP) -> Array:
    """(*cut, size) weight of each coefficient."""
    share = frequencies(size) / np.asarray(cut, dtype=np.float64)[..., None]
    return np.asarray(np.interp(share, taper.shares, taper.weights), dtype=np.float64)


def cosine_basis(size: int) -> Array:
    """(size, size) orthonormal DCT-II: row k is the wave of coefficient k; basis @ line transforms, basis.T @ undoes.
    """
    k, x = np.arange(size)[:, None], np.arange(size)[None, :]
    basis = np.cos(np.pi * k * (2 * x + 1) / (2 * size)) * np.sqrt(2.0 / size)
    basis[0] /= np.sqrt(2.0)
    return np.asarray(basis, dtype=np.float64)


def cut_of(pixel_mm: Array | float, spacing_mm: float) -> Array:
    """The cut of an acquired pixel, at most that of the image's own pixels."""
    return np.asarray(spacing_mm / (2.0 * np.maximum(pixel_mm, spacing_mm)), dtype=np.float64)

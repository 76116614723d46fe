"""What the last graph of a generator computes, in numpy and double precision: the reference for the exported graph.

Symbols: x the image without noise; B the sharp band of the scan, W its band with the taper (`band.py`); s the noise
level; n1, n2 white noise of unit variance, given as coefficients of the cosine transform; z the intensity of no signal.

    x' = B x,    noise_j = s W n_j
    real         image = x' + noise_1                                       (phase-sensitive: noise is Gaussian)
    magnitude    image = z + sqrt((x' - z + noise_1)² + noise_2²)           (Rician: Gudbjartsson and Patz, MRM 1995)

The taper damps noise alone: networks have learned from images whose signal it had damped already. Then the rim, where
the scanner measured nothing, is set to 0.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .band import SHARP, Array, Taper, cosine_basis, cut_of, pass_band


@dataclass(frozen=True)
class Scan:
    """How N images were acquired, each value (N,).

    noise_level: standard deviation of a pixel's noise before frequencies are cut off and damped, in shares of the
    value range. row_pixel_mm, column_pixel_mm: acquired pixel from one row to the next, and from one column to the
    next. top, bottom, left, right: pixels of the rim.
    """

    noise_level: Array
    row_pixel_mm: Array
    column_pixel_mm: Array
    top: Array
    bottom: Array
    left: Array
    right: Array


@dataclass(frozen=True)
class Scanner:
    """What all images share. spacing_mm: of the last two axes."""

    spacing_mm: tuple[float, float]
    detection: Literal["real", "magnitude"] = "real"
    zero: float = 0.0
    taper: Taper = SHARP

    def acquire(self, images: NDArray[np.floating], noise: NDArray[np.floating], scan: Scan) -> Array:
        """Images (N, C, *spatial) in [0, 1] as the scan would give them, clipped to [0, 1].

        noise: white, of unit variance, (N, C, *spatial), or (N, 2 C, *spatial) of magnitude images, coefficients of the
        cosine transform along the last two axes.
        """
        rows, columns = images.shape[-2:]
        down, across = cosine_basis(rows), cosine_basis(columns)
        axes, channels = (1,) * (images.ndim - 3), images.shape[1]
        sharp, damped = (self._window(scan, rows, columns, taper).reshape(-1, *axes, rows, columns)
                         for taper in (SHARP, self.taper))
        level = scan.noise_level.reshape(-1, *axes, 1, 1)
        image = down.T @ (sharp * (down @ images @ across.T) + level * damped * noise[:, :channels]) @ across
        if self.detection == "magnitude":
            other = down.T @ (level * damped * noise[:, channels:]) @ across
            image = self.zero + np.hypot(image - self.zero, other)
        inside = _inside(scan, rows, columns).reshape(-1, *axes, rows, columns)
        return np.asarray(np.clip(image, 0.0, 1.0) * inside, dtype=np.float64)

    def _window(self, scan: Scan, rows: int, columns: int, taper: Taper) -> Array:
        """(N, rows, columns) weights of the coefficients."""
        along_rows = pass_band(rows, cut_of(scan.row_pixel_mm, self.spacing_mm[0]), taper)
        along_columns = pass_band(columns, cut_of(scan.column_pixel_mm, self.spacing_mm[1]), taper)
        return along_rows[:, :, None] * along_columns[:, None, :]


def _inside(scan: Scan, rows: int, columns: int) -> Array:
    """(N, rows, columns): 0 on the rim, 1 elsewhere."""
    y, x = np.arange(rows), np.arange(columns)
    down = (y >= scan.top[:, None]) & (y < rows - scan.bottom[:, None])
    across = (x >= scan.left[:, None]) & (x < columns - scan.right[:, None])
    return (down[:, :, None] & across[:, None, :]).astype(np.float64)

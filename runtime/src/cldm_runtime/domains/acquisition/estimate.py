"""What images tell of their acquisition: rim, resolution, noise. Images (N, *spatial) in [0, 1].

Symbols as in `band.py`. The estimates use the last two axes; of a volume they are of all its slices together.

    rim         lines at the border that hold one value, the lowest there is
    resolution  the cut is where the power along an axis falls most steeply. Without a steep fall the image is taken to
                be as fine as its pixels
    noise       what is left of the image between `_BAND` of the cut along both axes, where anatomy has least power,
                over the places where the rest of the image is flattest. Its median absolute value is that of the noise,
                whatever a few borders leave there; it is divided by the share of all frequencies that this band holds
    taper       the noise at other shares of the cut, over that level: the median of many images
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .band import NYQUIST, SHARP, Array, Taper, frequencies

SIDES = ("top", "bottom", "left", "right")
_FLOOR = 1e-10  # power of what 16 bits round away
_ACROSS = (0.04, 0.2)  # frequencies along the other axis over which the logarithm of the power is averaged
_SEARCHED = (0.16, 0.47)  # cuts lie between these, cycles a pixel
_STEP, _GAP = 10, 2  # coefficients on either side that are compared, and that are left out between them
_STEEP = 1.4  # least fall of the power's logarithm at a cut; anatomy alone falls by about 1
_STEEPEST = 1.08  # of the cut: where the power falls most steeply beyond a sharp one
_BAND = (0.5, 0.75)
_SMOOTH_PIXELS = 3.0
_FLATTEST = 0.3
_FEWEST = 64  # pixels
_MEDIAN_OF_NORMAL = 0.6744897501960817  # median of the absolute value of a standard normal number
_TAPER_SHARES = (0.625, 0.75, 0.85, 0.95, 1.05, 1.15, 1.25)
_FEWEST_IMAGES = 10


@dataclass(frozen=True)
class Acquisition:
    """What was estimated of N images. noise_level (N,), NaN where it cannot be told; cuts (N, 2) in cycles a pixel,
    from row to row and from column to column; rim (N, 4) in pixels, in the order of `SIDES`."""

    noise_level: Array
    cuts: Array
    rim: NDArray[np.int64]


def estimate(images: NDArray[np.floating]) -> Acquisition:
    """Rim, resolution and noise of (N, *spatial) images."""
    rims = np.array([rim(image) for image in images], dtype=np.int64).reshape(-1, 4)
    inner = [without_rim(image, widths) for image, widths in zip(images, rims, strict=True)]
    pairs = [cuts(image) for image in inner]
    levels = [noise_level(image, pair) for image, pair in zip(inner, pairs, strict=True)]
    return Acquisition(np.array(levels, dtype=np.float64), np.array(pairs, dtype=np.float64).reshape(-1, 2), rims)


def rim(image: NDArray[np.floating]) -> tuple[int, int, int, int]:
    """Pixels of the rim of one (*spatial) image at the top, bottom, left and right; all 0 for an empty image."""
    filled = (image > image.min()).reshape(-1, *image.shape[-2:]).any(axis=0)
    rows, columns = np.flatnonzero(filled.any(axis=1)), np.flatnonzero(filled.any(axis=0))
    if not rows.size:
        return 0, 0, 0, 0
    return (int(rows[0]), int(len(filled) - 1 - rows[-1]), int(columns[0]), int(filled.shape[1] - 1 - columns[-1]))


def without_rim(image: NDArray[np.floating], widths: Sequence[int] | NDArray[np.int64]) -> NDArray[np.floating]:
    """The image without its rim."""
    top, bottom, left, right = widths
    return image[..., top : image.shape[-2] - bottom, left : image.shape[-1] - right]


def cuts(image: NDArray[np.floating]) -> tuple[float, float]:
    """The cuts of one (*spatial) image from row to row and from column to column, cycles a pixel."""
    power = np.log(np.square(_transformed(image)) + _FLOOR)
    power = power.reshape(-1, *power.shape[-2:]).mean(axis=0)
    return _cut(power), _cut(power.T)


def _cut(power: Array) -> float:
    """Along the first axis of the logarithm of the power (size, other)."""
    f, other = frequencies(power.shape[0]), frequencies(power.shape[1])
    line = power[:, (other >= _ACROSS[0]) & (other <= _ACROSS[1])].mean(axis=1)
    total = np.concatenate([[0.0], np.cumsum(line)])
    k = np.flatnonzero((f >= _SEARCHED[0]) & (f <= _SEARCHED[1]))
    k = k[(k >= _STEP + _GAP) & (k + _STEP + _GAP <= len(line))]
    if not k.size:
        return NYQUIST
    below = (total[k - _GAP] - total[k - _GAP - _STEP]) / _STEP
    above = (total[k + _GAP + _STEP] - total[k + _GAP]) / _STEP
    best = int((below - above).argmax())
    return float(f[k[best]] / _STEEPEST) if below[best] - above[best] >= _STEEP else NYQUIST


def noise_level(image: NDArray[np.floating], cut: tuple[float, float]) -> float:
    """Standard deviation of white noise with the image's noise power per frequency, of one (*spatial) image; NaN
    where too few pixels are flat and neither black nor white, because noise was clipped there."""
    return _level(image, cut, _BAND, flat_places(image))


def _level(image: NDArray[np.floating], cut: tuple[float, float], band: tuple[float, float],
           flat: NDArray[np.bool_]) -> float:
    """Noise level in a band of frequencies, in shares of the cuts."""
    from scipy.fft import idctn  # here, because it takes 0.2 s to import

    low, high = band
    kept = [(frequencies(size) >= low * c) & (frequencies(size) < high * c)
            for size, c in zip(image.shape[-2:], cut, strict=True)]
    mask = kept[0][:, None] & kept[1][None, :]
    if np.count_nonzero(flat) < _FEWEST or not mask.any():
        return float("nan")
    fine = idctn(_transformed(image) * mask, axes=(-2, -1), norm="ortho")
    return float(np.median(np.abs(fine[flat])) / _MEDIAN_OF_NORMAL / np.sqrt(mask.mean()))


def flat_places(image: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(*spatial): where the image, smoothed, is flattest, and neither black nor white."""
    from scipy import ndimage

    flat_axes = image.ndim - 2
    smooth = ndimage.gaussian_filter(image.astype(np.float64), (0.0,) * flat_axes + (_SMOOTH_PIXELS,) * 2)
    slope = np.hypot(*np.gradient(smooth, axis=(-2, -1)))
    clipped = (image <= image.min()) | (image >= image.max())
    places = ~ndimage.binary_dilation(clipped, np.ones((1,) * flat_axes + (3, 3)))
    steepest = np.quantile(slope[places], _FLATTEST) if places.any() else 0.0
    return np.asarray(places & (slope <= steepest))


def taper(images: Sequence[NDArray[np.floating]], cut_pairs: Sequence[tuple[float, float]]) -> Taper:
    """How the noise of images with a cut along both axes falls towards it and beyond. Sharp for fewer than
    `_FEWEST_IMAGES` of them."""
    limited = [(image, pair) for image, pair in zip(images, cut_pairs, strict=True) if max(pair) < NYQUIST]
    if len(limited) < _FEWEST_IMAGES:
        return SHARP
    profiles = []
    for image, pair in limited:
        flat = flat_places(image)
        levels = [_level(image, pair, (share - 0.05, share + 0.05), flat) for share in _TAPER_SHARES[1:]]
        profiles.append(np.sqrt(np.array(levels) / _level(image, pair, _BAND, flat)))
    median = np.nan_to_num(np.nanmedian(profiles, axis=0))
    falling = np.minimum.accumulate(np.minimum(median, 1.0))
    return Taper(_TAPER_SHARES, (1.0, *(round(float(weight), 4) for weight in falling[:-1]), 0.0))


def _transformed(image: NDArray[np.floating]) -> Array:
    from scipy.fft import dctn

    return np.asarray(dctn(image.astype(np.float64), axes=(-2, -1), norm="ortho"), dtype=np.float64)

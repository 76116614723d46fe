"""Whether the border of a region shows that was painted anew."""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]


def seam_ratio(before: Values, after: Values, region: NDArray[np.bool_], spacing_mm: tuple[float, ...],
               width_mm: float) -> float:
    """Mean squared gradient of the painted image over that of the given one, in the band that reaches from the last
    pixels outside the region to `width_mm` inside it. 1: the band is as rough as it was; more: an edge shows; less: it
    is blurred.

    before, after: (C, *spatial). region: (*spatial). NaN without a border, or where the given image is constant there.
    """
    band = _band(region, spacing_mm, width_mm)
    if not band.any():
        return float("nan")
    given, painted = (_energy(image)[band].mean() for image in (before, after))
    return float(painted / given) if given > 0 else float("nan")


def _band(region: NDArray[np.bool_], spacing_mm: tuple[float, ...], width_mm: float) -> NDArray[np.bool_]:
    from scipy import ndimage  # slow to import

    if not region.any() or region.all():
        return np.zeros_like(region)
    inwards = ndimage.distance_transform_edt(region, sampling=spacing_mm)
    return np.asarray(ndimage.binary_dilation(region) & (inwards <= width_mm))


def _energy(image: Values) -> NDArray[np.float64]:
    """(*spatial) squared gradient, summed over channels."""
    channels = np.asarray(image, dtype=np.float64)
    return np.asarray(sum(np.square(np.gradient(channel, axis=axis))
                          for channel in channels for axis in range(channel.ndim)))

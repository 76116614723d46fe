"""From a slice to what the network sees, and back: crop, normalise, resample.

Each slice is a case of its own, with the semantics of nnU-Net v2's DefaultPreprocessor for a volume of one slice: crop
to the bounding box of the non-zero pixels, normalise, then resample as `skimage.transform.resize` does (splines, edge
mode, no anti-aliasing, clipped to the range of the input), for which scipy's zoom stands in here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ..bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from ..errors import InputError

Image = NDArray[np.float32]
_EPSILON = 1e-8
_MOST_PIXELS = 2**24


@dataclass(frozen=True)
class Prepared:
    """A slice as the network sees it, (C, h, w), and what is needed to put its labels back.

    `box` is the crop in the slice, `cropped_shape` its shape before resampling.
    """

    image: Image
    box: tuple[slice, slice]
    cropped_shape: tuple[int, int]


def prepare(image: Image, spacing_mm: tuple[float, float], spec: SegmenterSpec) -> Prepared:
    """Crop, normalise and resample one slice (C, H, W), whose axes are already in the network's order."""
    nonzero = (image != 0).any(axis=0)
    box = bounding_box(nonzero) if spec.crop_to_nonzero else (slice(0, image.shape[1]), slice(0, image.shape[2]))
    cropped, inside = image[:, *box], nonzero[box]
    channels = [normalise(channel, inside, rule) for channel, rule in zip(cropped, spec.normalisation, strict=True)]
    shape = (cropped.shape[1], cropped.shape[2])
    target = resampled_shape(shape, spacing_mm, spec.spacing_mm)
    return Prepared(resample(np.stack(channels), target, spec.image_order), box, shape)


def bounding_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """The smallest box around the mask; the whole plane where the mask is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def normalise(channel: Image, inside: NDArray[np.bool_], rule: ChannelNormalisation) -> Image:
    """One channel (h, w) by nnU-Net's scheme of that name. `inside`: where the slice is not zero."""
    if rule.scheme == "ZScoreNormalization":
        return _z_score(channel, inside if rule.use_mask else np.ones_like(inside), keep_outside=rule.use_mask)
    if rule.scheme == "CTNormalization":
        clipped = np.clip(channel, rule.percentile_00_5, rule.percentile_99_5)
        return np.asarray((clipped - np.float32(rule.mean or 0.0)) / np.float32(max(rule.std or 0.0, _EPSILON)))
    if rule.scheme == "RescaleTo01Normalization":
        moved = channel - channel.min()
        return np.asarray(moved / np.maximum(moved.max(), np.float32(_EPSILON)))
    if rule.scheme == "RGBTo01Normalization":
        if channel.min() < 0 or channel.max() > 255:
            raise InputError(f"segment: intensities reach from {channel.min()} to {channel.max()}, but this segmenter "
                             "was trained on 8-bit images. Give values in 0..255.")
        return np.asarray(channel / np.float32(255))
    return channel


def _z_score(channel: Image, inside: NDArray[np.bool_], keep_outside: bool) -> Image:
    if not inside.any():
        return channel
    values = channel[inside] if keep_outside else channel
    scaled = (channel - values.mean()) / np.maximum(values.std(), np.float32(_EPSILON))
    return np.where(inside, scaled, channel)


def resampled_shape(shape: tuple[int, int], spacing_mm: tuple[float, float],
                    target_mm: tuple[float, float]) -> tuple[int, int]:
    """Shape after resampling from one spacing to another: halves go to the even number, as in Python's round.

    Raises InputError for a shape beyond any image's, as spacings that are not what they say give.
    """
    rows, columns = (max(1, round(min(old / new * size, _MOST_PIXELS)))
                     for size, old, new in zip(shape, spacing_mm, target_mm, strict=True))
    if rows * columns >= _MOST_PIXELS:
        raise InputError(f"segment: a slice of {list(shape)} pixels of {list(spacing_mm)} mm has more than "
                         f"{_MOST_PIXELS} of {list(target_mm)} mm, which the segmenter takes. Check the spacing.")
    return rows, columns


def resample(planes: NDArray[np.float32], shape: tuple[int, int], order: int) -> NDArray[np.float32]:
    """(K, h, w) planes at another shape, pixel edges aligned, each within the range of its input."""
    if planes.shape[1:] == shape:
        return planes
    factors = [new / old for new, old in zip(shape, planes.shape[1:], strict=True)]
    out = np.empty((len(planes), *shape), dtype=np.float32)
    for plane, result in zip(planes.astype(np.float64), out, strict=True):
        resized = zoom(plane, factors, order=order, mode="nearest", grid_mode=True)
        result[:] = np.clip(resized, plane.min(), plane.max())
    return out

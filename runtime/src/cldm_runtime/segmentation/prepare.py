"""From an image to the input of the network, and back: crop, normalise, resample.

Each image is a separate case; a slice is treated as nnU-Net v2's DefaultPreprocessor treats a volume of one slice: crop
to the bounding box of the non-zero voxels, normalise, then resample as `skimage.transform.resize` does (splines, edge
mode, no anti-aliasing, clipped to the range of the input), computed here with scipy's zoom. Volumes with one axis that
is more than three times as coarse as the finest are resampled slice by slice, and along that axis by the nearest slice.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..bundle.segmenter_spec import ChannelNormalisation, SegmenterSpec
from ..errors import InputError
from ..metrics.boxes import bounding_box

Image = NDArray[np.float32]
Spacing = tuple[float, ...]
Cut = tuple[slice, ...]
_EPSILON = 1e-8
_MOST_VOXELS = {2: 2**24, 3: 2**28}  # of an image, by its axes
_ANISOTROPIC = 3.0  # coarsest over finest spacing


@dataclass(frozen=True)
class Prepared:
    """An image as the network takes it, (C, *spatial), and what is needed to map its labels back.

    `box` is the crop in the original image, `cropped_shape` its shape before resampling.
    """

    image: Image
    box: Cut
    cropped_shape: tuple[int, ...]


def prepare(image: Image, spacing_mm: Spacing, spec: SegmenterSpec) -> Prepared:
    """Crop, normalise and resample one image (C, *spatial), whose axes are already in the network's order."""
    nonzero = (image != 0).any(axis=0)
    if nonzero.ndim == 3:
        from scipy.ndimage import binary_fill_holes  # slow to import

        nonzero = binary_fill_holes(nonzero)  # nnU-Net fills slices too, but as volumes of one, which have no holes
    box = bounding_box(nonzero) if spec.crop_to_nonzero else tuple(slice(0, size) for size in image.shape[1:])
    cropped, inside = image[:, *box], nonzero[box]
    channels = [normalise(channel, inside, rule) for channel, rule in zip(cropped, spec.normalisation, strict=True)]
    shape = cropped.shape[1:]
    target = resampled_shape(shape, spacing_mm, spec.spacing_mm)
    axis = coarse_axis(spacing_mm, spec.spacing_mm)
    return Prepared(resample(np.stack(channels), target, spec.image_order, axis), box, shape)


def normalise(channel: Image, inside: NDArray[np.bool_], rule: ChannelNormalisation) -> Image:
    """One channel (*spatial) by nnU-Net's scheme of that name. `inside`: where the image is not zero."""
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


def resampled_shape(shape: tuple[int, ...], spacing_mm: Spacing, target_mm: Spacing) -> tuple[int, ...]:
    """Shape after resampling from one spacing to another: halves go to the even number, as in Python's round.

    Raises InputError for a shape larger than any image's, which wrong spacings give.
    """
    most = _MOST_VOXELS[len(shape)]
    sizes = tuple(max(1, round(min(old / new * size, most)))
                  for size, old, new in zip(shape, spacing_mm, target_mm, strict=True))
    if math.prod(sizes) >= most:
        raise InputError(f"segment: an image of {list(shape)} voxels of {list(spacing_mm)} mm has more than "
                         f"{most} of {list(target_mm)} mm, which the segmenter takes. Check the spacing.")
    return sizes


def coarse_axis(spacing_mm: Spacing, target_mm: Spacing) -> int | None:
    """The axis along which a volume is resampled apart from the others; None: all axes are resampled together.

    It is the single coarsest axis of an anisotropic spacing: of the image's spacing, or else of the target spacing.
    """
    for spacing in (spacing_mm, target_mm):
        if len(spacing) == 3 and max(spacing) / min(spacing) > _ANISOTROPIC:
            coarsest = [axis for axis, step in enumerate(spacing) if step == max(spacing)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def resample(images: NDArray[np.float32], shape: tuple[int, ...], order: int, axis: int | None = None
             ) -> NDArray[np.float32]:
    """(K, *spatial) images at another shape, voxel edges aligned, each within the range of its input.

    axis: the coarse axis of volumes; their slices across it are resampled one by one, then the nearest is taken.
    """
    if images.shape[1:] == shape:
        return images
    if axis is not None:
        return _resample_slices(images, shape, order, axis)
    from scipy.ndimage import zoom  # slow to import

    factors = [new / old for new, old in zip(shape, images.shape[1:], strict=True)]
    out = np.empty((len(images), *shape), dtype=np.float32)
    for image, result in zip(images, out, strict=True):
        source = image.astype(np.float64)
        resized = zoom(source, factors, order=order, mode="nearest", grid_mode=True)
        result[:] = np.clip(resized, source.min(), source.max())
    return out


def _resample_slices(volumes: NDArray[np.float32], shape: tuple[int, ...], order: int, axis: int
                     ) -> NDArray[np.float32]:
    slices = np.moveaxis(volumes, axis + 1, 1)
    flat = tuple(size for number, size in enumerate(shape) if number != axis)
    resized = np.stack([resample(volume, flat, order) for volume in slices])
    old, new = resized.shape[1], shape[axis]
    places = np.floor(old / new * (np.arange(new) + 0.5) - 0.5 + 0.5).clip(0, old - 1).astype(np.intp)
    return np.ascontiguousarray(np.moveaxis(resized[:, places], 1, axis + 1))

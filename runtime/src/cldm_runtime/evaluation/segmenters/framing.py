"""Places an image in the frame that a network takes, and its label maps back: turn, crop, resample, centre."""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from ...metrics.boxes import bounding_box
from ...segmentation.prepare import Cut, Image, Spacing, resample
from .description import AXES, Intensity, NetworkInput, Pad

_MOST_PIXELS = 2**26
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Framed:
    """An image in the network's frame, (C, *size). `box`: the part of the turned image that was resampled to `placed`
    pixels; the centre of these and of the frame coincide."""

    image: Image
    box: Cut
    placed: tuple[int, ...]


def scaled(image: Image, intensity: Intensity) -> Image:
    """(C, *spatial) intensities as the network expects them."""
    low, high = intensity.range
    channels = np.stack([_scaled_channel(channel.astype(np.float64), number, intensity)
                         for number, channel in enumerate(image)])
    clipped = channels if intensity.clip is None else np.clip(channels, *intensity.clip)
    return (low + (high - low) * clipped).astype(np.float32)


def _scaled_channel(channel: NDArray[np.float64], number: int, intensity: Intensity) -> NDArray[np.float64]:
    if intensity.scale == "none":
        return channel
    if intensity.scale == "fixed":
        return (channel - intensity.mean[number]) / intensity.std[number]
    counted = channel[channel != 0] if intensity.over == "nonzero" else channel
    if not counted.size:
        return channel
    if intensity.scale == "z-score":
        return np.asarray((channel - counted.mean()) / max(float(counted.std()), 1e-8))
    low, high = np.percentile(counted, intensity.percentiles)
    return np.asarray((channel - low) / max(float(high - low), 1e-8))


def turned(array: NDArray[_Number], frame: NetworkInput) -> NDArray[_Number]:
    """(..., *spatial) with its axes in the network's order and direction."""
    return np.flip(array.swapaxes(-1, -2) if frame.transpose else array, _flipped(frame))


def turned_back(array: NDArray[_Number], frame: NetworkInput) -> NDArray[_Number]:
    """Undoes `turned`."""
    flipped = np.flip(array, _flipped(frame))
    return flipped.swapaxes(-1, -2) if frame.transpose else flipped


def _flipped(frame: NetworkInput) -> tuple[int, ...]:
    return tuple(AXES.index(axis) - len(AXES) for axis in frame.flip)


def framed(image: Image, nonzero: NDArray[np.bool_], spacing_mm: Spacing, frame: NetworkInput,
           size: tuple[int, ...]) -> Framed:
    """A turned image (C, *spatial), scaled, in the network's frame of `size` pixels. nonzero: (*spatial) where the
    image was not 0 before it was scaled."""
    box = bounding_box(nonzero) if frame.crop == "nonzero" else tuple(slice(0, side) for side in nonzero.shape)
    if frame.square:
        box = (*box[:-2], *_centre_square(box[-2:]))
    cropped = image[:, *box]
    placed = _placed(cropped.shape[1:], spacing_mm, frame, size)
    if frame.antialias:
        cropped = _blurred(cropped, placed)
    resampled = resample(np.ascontiguousarray(cropped), placed, frame.order)
    return Framed(_centred(resampled, size, frame.pad), box, placed)


def unframed(scores: NDArray[np.float32], image: Framed, order: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Scores (K, *size) of the frame at the pixels of `image.box`, and which of those lie in the frame."""
    size, shape = scores.shape[1:], tuple(cut.stop - cut.start for cut in image.box)
    whole = _centred(scores, image.placed, "edge")
    inside = _centred(np.ones((1, *size), np.float32), image.placed, 0.0)
    return resample(whole, shape, order), resample(inside, shape, 0)[0] > 0


def _centre_square(box: Cut) -> Cut:
    side = min(cut.stop - cut.start for cut in box)
    return tuple(slice(start := cut.start + (cut.stop - cut.start - side) // 2, start + side) for cut in box)


def _placed(shape: tuple[int, ...], spacing_mm: Spacing, frame: NetworkInput, size: tuple[int, ...]) -> tuple[int, ...]:
    if not frame.spacing_mm:
        return frame.place or size
    return tuple(max(1, round(min(pixels * old / new, _MOST_PIXELS)))
                 for pixels, old, new in zip(shape, spacing_mm, frame.spacing_mm, strict=True))


def _blurred(image: Image, placed: tuple[int, ...]) -> Image:
    """Gaussian of (factor - 1) / 2 pixels along each axis that shrinks, as skimage.transform.resize."""
    sigmas = [max(0.0, (old / new - 1) / 2) for old, new in zip(image.shape[1:], placed, strict=True)]
    return np.asarray(gaussian_filter(image, [0.0, *sigmas], mode="mirror"))


def _centred(array: NDArray[np.float32], size: tuple[int, ...], pad: Pad) -> NDArray[np.float32]:
    """(K, *spatial) cut or padded to `size` about its centre; of an odd rest, the larger half lies at the end."""
    for axis, side in enumerate(size, start=1):
        rest = side - array.shape[axis]
        if rest < 0:
            array = np.take(array, range(-rest // 2, -rest // 2 + side), axis)
        elif rest:
            widths = [(rest // 2, rest - rest // 2) if number == axis else (0, 0) for number in range(array.ndim)]
            array = np.pad(array, widths, pad) if isinstance(pad, str) else np.pad(array, widths, constant_values=pad)
    return array

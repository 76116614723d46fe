"""Attributes of an image with its label map: contrast, noise, nulling. docs/attributes.md is the specification."""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...errors import InputError
from ..acquisition.estimate import cuts, noise_level, rim, without_rim
from ..attributes import Attribute, Measurement, Reason
from ..labels import LabelMap
from .attributes import HEALTHY, INFARCT, LV_CAVITY, LgeReason

IMAGE_ATTRIBUTES = (
    Attribute("lesion_contrast", "ratio", -50.0, 200.0, 250.0, "infarct minus remote wall, over noise_level",
              ("infarct",), "noise_level"),
    Attribute("noise_level", "fraction", 0.0, 0.5, 0.5, "standard deviation of white noise, of the value range"),
    Attribute("remote_nulling", "fraction", 0.0, 3.0, 3.0, "remote wall over blood", ("lv_cavity", "myocardium")),
)
IMAGE_NAMES = tuple(attribute.name for attribute in IMAGE_ATTRIBUTES)
_REMOTE_PIXELS, _INSIDE_PIXELS = 3.0, 1.5
_FEWEST = 10  # pixels of a tissue
_LEAST = 1e-4  # of a level or of noise that something is divided by


class ContrastReason(IntEnum):
    """Why an attribute of an image is NaN, besides the reasons of label maps."""

    NO_BLOOD = 5  # too few pixels of cavity, or black ones
    NO_REMOTE = 6  # too few pixels of wall away from the infarct
    NO_NOISE = 7  # the image shows none, or has no flat place to find it in


IMAGE_REASONS = {int(reason): reason.name.lower() for reason in ContrastReason}


def measure_contrast(images: NDArray[np.floating], labels: LabelMap,
                     spacing_mm: tuple[float, ...] | None = None) -> Measurement:
    """Measure (N, C, H, W) images in [0, 1], by their first channel, with (N, H, W) label maps."""
    if labels.ndim != 3 or images.ndim != 4 or images.shape[2:] != labels.shape[1:]:
        raise InputError(f"the lge domain measures slices with their label maps, found images {images.shape} and label "
                         f"maps {labels.shape}. Give (N, C, H, W) and (N, H, W).")
    rows = [_measure(image[0], label_map) for image, label_map in zip(images, labels, strict=True)]
    values = np.array([row for row, _ in rows], dtype=np.float32).reshape(-1, len(IMAGE_NAMES))
    reasons = np.array([why for _, why in rows], dtype=np.uint8).reshape(-1, len(IMAGE_NAMES))
    return Measurement(IMAGE_NAMES, values, reasons)


def _measure(image: NDArray[np.floating], labels: LabelMap) -> tuple[Sequence[float], Sequence[IntEnum]]:
    inner = without_rim(image, rim(image))
    noise = noise_level(inner, cuts(inner))
    blood = _median(image, _inside(labels == LV_CAVITY))
    remote = _median(image, remote_wall(labels))
    lesion = _median(image, labels == INFARCT, fewest=1)
    contrast_why = (LgeReason.NO_INFARCT if np.isnan(lesion) else ContrastReason.NO_REMOTE if np.isnan(remote) else
                    Reason.MEASURED if noise > _LEAST else ContrastReason.NO_NOISE)
    nulling_why = (ContrastReason.NO_REMOTE if np.isnan(remote) else
                   Reason.MEASURED if blood > _LEAST else ContrastReason.NO_BLOOD)
    why: tuple[IntEnum, ...] = (contrast_why, ContrastReason.NO_NOISE if np.isnan(noise) else Reason.MEASURED,
                                nulling_why)
    values = ((lesion - remote) / max(noise, _LEAST), noise, remote / max(blood, _LEAST))
    return [value if reason == Reason.MEASURED else np.nan for value, reason in zip(values, why, strict=True)], why


def remote_wall(labels: LabelMap) -> NDArray[np.bool_]:
    """(H, W) healthy wall further than 3 pixels from infarct; without the wall's outermost pixels where it is thick."""
    healthy, infarct = labels == HEALTHY, labels > HEALTHY
    if infarct.any():
        healthy = healthy & (ndimage.distance_transform_edt(~infarct) > _REMOTE_PIXELS)
    inner = healthy & _inside(labels >= HEALTHY)
    return np.asarray(inner if inner.sum() >= _FEWEST else healthy)


def _inside(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The region without its outermost pixels, unless too few are left."""
    inside = ndimage.distance_transform_edt(region) > _INSIDE_PIXELS
    return np.asarray(inside if inside.sum() >= _FEWEST else region)


def _median(image: NDArray[np.floating], region: NDArray[np.bool_], fewest: int = _FEWEST) -> float:
    """NaN for a region of fewer pixels."""
    values = image[region]
    return float(np.median(values)) if values.size >= fewest else float("nan")

"""What the encoder of a condition takes when its graph is written and checked: cohort values, and random ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cldm_runtime.bundle.sources import attribute_inputs

from ..training.batches import one_hot

Limits = tuple[float, float] | None


@dataclass(frozen=True)
class EncoderInputs:
    """tensors: meaning and limits of each input. from_cohort: inputs from one-hot maps (n, K, *spatial), training
    attributes (N, A) and images (n, C, *spatial). random: inputs of the same shapes, without anatomy."""

    tensors: Mapping[str, tuple[str, Limits]]
    from_cohort: Callable[[Tensor, NDArray[np.float32], Tensor], dict[str, Tensor]]
    random: Callable[[Mapping[str, Tensor], torch.Generator], dict[str, Tensor]]


def _random_maps(like: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Labels at every pixel by chance."""
    n, classes, *spatial = like["one_hot"].shape
    return {"one_hot": one_hot(torch.randint(0, classes, (n, *spatial), generator=generator), classes)}


def _cohort_attributes(one_hot: Tensor, attributes: NDArray[np.float32], images: Tensor) -> dict[str, Tensor]:
    rows = np.linspace(0, len(attributes) - 1, len(one_hot)).astype(int)
    return {name: torch.from_numpy(values) for name, values in attribute_inputs(attributes[rows]).items()}


def _random_attributes(like: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Values between the least and the greatest of the cohort's, whatever their unit."""
    values = like["attributes"]
    low, high = values.amin(dim=0), values.amax(dim=0)
    defined = (torch.rand(values.shape, generator=generator) < 0.7).float()
    return {"attributes": (low + (high - low) * torch.rand(values.shape, generator=generator)) * defined,
            "defined": defined}


def _alternating(one_hot: Tensor) -> Tensor:
    """Which classes (n, K) count: all in the first sample, then each third one does not."""
    rows, classes = (torch.arange(size) for size in one_hot.shape[:2])
    return ((rows[:, None] == 0) | ((rows[:, None] + classes) % 3 > 0) | (classes == 0)).float()


def _middle(images: Tensor) -> Tensor:
    """Regions (n, 1, *spatial): the middle half of images along every axis."""
    region = torch.zeros(len(images), 1, *images.shape[2:])
    region[(slice(None), slice(None), *(slice(size // 4, size - size // 4) for size in images.shape[2:]))] = 1.0
    return region


_MASKS = EncoderInputs({"one_hot": ("label map, one channel for each of labels.names, 0 or 1", (0.0, 1.0))},
                       lambda one_hot, attributes, images: {"one_hot": one_hot}, _random_maps)
_ATTRIBUTES = EncoderInputs(
    {"attributes": ("values in the order and units of attributes; 0 where undefined", None),
     "defined": ("whether the attribute is defined, 0 or 1", (0.0, 1.0))},
    _cohort_attributes, _random_attributes)
_BOTH = EncoderInputs({**_MASKS.tensors, **_ATTRIBUTES.tensors},
                      lambda one_hot, attributes, images: {"one_hot": one_hot,
                                                           **_cohort_attributes(one_hot, attributes, images)},
                      lambda like, generator: {**_random_maps(like, generator), **_random_attributes(like, generator)})
_IMAGES = EncoderInputs({"image": ("given image in image.value_range", (0.0, 1.0))},
                        lambda one_hot, attributes, images: {"image": images},
                        lambda like, generator: {"image": torch.rand(like["image"].shape, generator=generator)})
_PARTLY = EncoderInputs(
    {**_MASKS.tensors, "known": ("whether the label map tells a class, 1, or leaves it free, 0", (0.0, 1.0))},
    lambda one_hot, attributes, images: {"one_hot": one_hot, "known": _alternating(one_hot)},
    lambda like, generator: {**_random_maps(like, generator),
                             "known": (torch.rand(like["known"].shape, generator=generator) < 0.5).float()})
_PAINTINGS = EncoderInputs(
    {**_MASKS.tensors, **_IMAGES.tensors, "region": ("where the image is painted anew, 1, else 0", (0.0, 1.0))},
    lambda one_hot, attributes, images: {"one_hot": one_hot, "image": images, "region": _middle(images)},
    lambda like, generator: {
        **_random_maps(like, generator), "image": torch.rand(like["image"].shape, generator=generator),
        "region": (torch.rand(like["region"].shape, generator=generator) < 0.5).float()})
SOURCES = {"masks": _MASKS, "attributes": _ATTRIBUTES, "masks and attributes": _BOTH, "images": _IMAGES,
           "masks and classes": _PARTLY, "masks and paintings": _PAINTINGS}

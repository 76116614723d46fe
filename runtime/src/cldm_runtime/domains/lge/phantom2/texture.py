"""Random fields that a patient's slices share, so that neighbouring levels resemble each other."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage

from ....noise import Stream
from ..ventricle import Field
from .tissue import FIELD_OF_VIEW_MM

_LATTICE = 224  # points, 1 mm apart
GRAINS_MM = (9.0, 4.0, 2.0)


@dataclass(frozen=True)
class Texture:
    """lattice: (3, 2, 224, 224) fields of zero mean and unit variance; the grains are `GRAINS_MM`."""

    lattice: Field

    @classmethod
    def draw(cls, stream: Stream) -> "Texture":
        white = stream.normals((len(GRAINS_MM), 2, _LATTICE, _LATTICE)).astype(np.float64)
        return cls(np.stack([_smooth(pair, grain) for pair, grain in zip(white, GRAINS_MM, strict=True)]))

    def at(self, depth_mm: float, pixels: int) -> tuple[Field, Field, Field]:
        """Coarse, medium and fine field (N, N) at a depth along the long axis; they change over about two grains."""
        weights = _interpolation(pixels)
        fields = []
        for (one, other), grain in zip(self.lattice, GRAINS_MM, strict=True):
            phase = depth_mm / (2.0 * grain)
            fields.append(weights @ (np.cos(phase) * one + np.sin(phase) * other) @ weights.T)
        return fields[0], fields[1], fields[2]


def _smooth(pair: Field, grain: float) -> Field:
    fields = ndimage.gaussian_filter(pair, (0.0, grain / 2, grain / 2), mode="wrap")
    scaled: Field = (fields - fields.mean(axis=(1, 2), keepdims=True)) / fields.std(axis=(1, 2), keepdims=True)
    return scaled


@cache
def _interpolation(pixels: int) -> Field:
    """(pixels, lattice) weights of linear interpolation from the lattice to the pixels of the field of view."""
    step = FIELD_OF_VIEW_MM / _LATTICE
    place = np.clip(((np.arange(pixels) + 0.5) * FIELD_OF_VIEW_MM / pixels) / step - 0.5, 0, _LATTICE - 1)
    weights = np.maximum(0.0, 1.0 - np.abs(place[:, None] - np.arange(_LATTICE)[None, :]))
    return np.asarray(weights, dtype=np.float64)

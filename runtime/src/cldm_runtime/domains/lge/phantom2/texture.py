"""Random fields that a patient's slices share, so that neighbouring levels resemble each other."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ....noise import Stream
from ..ventricle import Field

_LATTICE = 224  # points, 1 mm apart over the field of view
GRAINS_MM = (9.0, 4.0, 2.0)


@dataclass(frozen=True)
class TissueTexture:
    """lattice: (3, 2, 224, 224) fields of zero mean and unit variance; the grains are `GRAINS_MM`."""

    lattice: Field

    @classmethod
    def draw(cls, stream: Stream) -> "TissueTexture":
        white = stream.normals((len(GRAINS_MM), 2, _LATTICE, _LATTICE)).astype(np.float64)
        return cls(np.stack([_smooth(pair, grain) for pair, grain in zip(white, GRAINS_MM, strict=True)]))

    def at(self, depth_mm: float, pixels: int) -> tuple[Field, Field, Field]:
        """Coarse, medium and fine field (N, N) at a depth along the long axis; they change over about two grains."""
        fields = []
        for (one, other), grain in zip(self.lattice, GRAINS_MM, strict=True):
            phase = depth_mm / (2.0 * grain)
            rows = _interpolated(np.cos(phase) * one + np.sin(phase) * other, pixels)
            fields.append(_interpolated(rows.T, pixels).T)
        return fields[0], fields[1], fields[2]


def _smooth(pair: Field, grain: float) -> Field:
    fields = ndimage.gaussian_filter(pair, (0.0, grain / 2, grain / 2), mode="wrap")
    scaled: Field = (fields - fields.mean(axis=(1, 2), keepdims=True)) / fields.std(axis=(1, 2), keepdims=True)
    return scaled


def _interpolated(lattice: Field, pixels: int) -> Field:
    """(pixels, M) rows between the (L, M) rows of the lattice, linearly."""
    place = np.clip((np.arange(pixels) + 0.5) * (_LATTICE / pixels) - 0.5, 0, _LATTICE - 1)
    low = np.minimum(place.astype(np.intp), _LATTICE - 2)
    share = (place - low)[:, None]
    return np.asarray(lattice[low] * (1.0 - share) + lattice[low + 1] * share)

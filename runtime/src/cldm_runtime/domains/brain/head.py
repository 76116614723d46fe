"""A head without its skull: folded hemispheres, ventricles, deep nuclei, cerebellum and stem of one patient.

Sizes are chosen so that adults come out: brains about 170 mm long, 135 mm wide and 120 mm high.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream
from ..phantom_parts import smooth_union
from .space import RandomField, Volume3D, VoxelGrid, ellipsoid, tube
from .tissue import BrainTissue

EXTENT_MM = (155.0, 190.0, 154.0)  # z, y, x: what holds every head
MIDDLE_MM = (-8.0, 0.0, 0.0)  # of that box
_CORTEX_MM = 2.7
_FOLD_MM, _WANDER_MM, _BEND_MM = 25.0, 38.0, 95.0  # wavelengths
_SPHERE = (62.0, 85.0, 68.0)  # half axes on whose surface the folds are drawn
_VENTRICLE = ((4.0, -33.0, 12.0, 3.0), (12.0, -22.0, 9.0, 4.6), (21.0, -6.0, 9.0, 4.0), (21.0, 16.0, 13.0, 4.4),
              (12.0, 32.0, 22.0, 6.2), (6.0, 54.0, 25.0, 2.2))  # z, y, |x| and radius of one side
_TEMPORAL_HORN = ((10.0, 30.0, 23.0, 4.6), (-8.0, 24.0, 32.0, 2.6), (-18.0, 2.0, 31.0, 2.0))
_CHOROID = ((14.0, 20.0, 15.0, 1.2), (10.0, 31.0, 21.0, 3.2), (3.0, 29.0, 24.0, 1.6))
_INNER_MM = (-75.0, -62.0, -62.0), (55.0, 90.0, 62.0)  # a box around ventricles and nuclei, also where they are pushed
_NUCLEI = (((11.0, -20.0, 15.0), (10.0, 10.0, 5.5), BrainTissue.DEEP_GREY),  # caudate
           ((3.0, -3.0, 26.0), (11.0, 18.0, 5.5), BrainTissue.DEEP_GREY),  # putamen
           ((0.0, 1.0, 19.0), (7.0, 10.0, 4.0), BrainTissue.PALLIDUM),
           ((6.0, 15.0, 11.0), (9.5, 15.0, 9.0), BrainTissue.DEEP_GREY))  # thalamus


class Push(Protocol):
    """What presses on the brain: a tumour."""

    def moved(self, z: Volume3D, y: Volume3D, x: Volume3D) -> tuple[Volume3D, Volume3D, Volume3D]:
        """The places that tissue at these places came from."""

    def squeeze(self, z: Volume3D, y: Volume3D, x: Volume3D) -> Volume3D:
        """How far the liquor nearby is pressed out: 0 not at all, 1 wholly."""


@dataclass(frozen=True)
class BrainMap:
    """What lies where, at the voxels of a grid: tissue (Z, Y, X) uint8 (`BrainTissue`); depths in mm below the surface
    of the brain, of its cortex, and of the ventricles; left: which half of the brain."""

    tissue: NDArray[np.uint8]
    hull: Volume3D
    cortex: Volume3D
    ventricles: Volume3D
    left: NDArray[np.bool_]

    def part(self, box: tuple[slice, slice, slice]) -> "BrainMap":
        """A box of it, which shares its memory."""
        return BrainMap(self.tissue[box], self.hull[box], self.cortex[box], self.ventricles[box], self.left[box])


@dataclass(frozen=True)
class Head:
    """size: of the whole. sulcus_mm: half the width of a sulcus, wide in the old. ventricle: width of the ventricles,
    1 for a young patient. bend: moves places along z, y and x, so that no two heads and no two halves are alike;
    wander: the same for the folds alone."""

    size: tuple[float, float, float]
    sulcus_mm: float
    ventricle: float
    folds: RandomField
    depth: RandomField
    bend: tuple[RandomField, RandomField, RandomField]
    wander: tuple[RandomField, RandomField, RandomField]

    @classmethod
    def draw(cls, stream: Stream) -> "Head":
        age = stream.uniform()
        whole = stream.uniform(0.93, 1.0)
        size = (whole * stream.uniform(0.96, 1.04), whole * stream.uniform(0.97, 1.03),
                whole * stream.uniform(0.97, 1.03))
        bend, wander = ((RandomField.draw(stream, length), RandomField.draw(stream, length),
                         RandomField.draw(stream, length)) for length in (_BEND_MM, _WANDER_MM))
        return cls(size, 0.35 + 0.8 * age * stream.uniform(0.4, 1.0), 0.8 + 0.9 * age * stream.uniform(0.2, 1.0),
                   RandomField.draw(stream, _FOLD_MM, band=0.22), RandomField.draw(stream, 40.0),
                   bend, wander)

    def map(self, grid: VoxelGrid, pushes: Sequence[Push] = ()) -> BrainMap:
        z, y, x = (axis / size + 2.2 * bend.on(grid)
                   for axis, size, bend in zip(grid.coordinates, self.size, self.bend, strict=True))
        wide, brain, back, stem = _outlines(z, y, x, 0.5 + 0.8 * self.sulcus_mm)
        squeeze = np.zeros(grid.shape, np.float32)
        for push in pushes:
            z, y, x = push.moved(z, y, x)
            squeeze = np.maximum(squeeze, push.squeeze(*grid.coordinates))
        cortex, bare = self._cortex(grid, (z, y, x), brain, squeeze, wide > -3.0)
        tissue = np.full(grid.shape, BrainTissue.OUTSIDE, np.uint8)
        tissue[wide > 0] = BrainTissue.LIQUOR
        tissue[stem > 0] = BrainTissue.STEM
        _paint_cerebellum(tissue, z, back)
        inside = cortex > 0
        tissue[inside] = BrainTissue.WHITE
        tissue[inside & (cortex < _CORTEX_MM) & ~bare] = BrainTissue.GREY
        ventricles = np.full(grid.shape, -60.0, np.float32)
        box = grid.between(*_INNER_MM)
        ventricles[box] = self._paint_inner(tissue[box], (z[box], y[box], np.abs(x[box])), inside[box], squeeze[box])
        return BrainMap(tissue, wide, cortex, ventricles, np.asarray(x > 0))

    def _cortex(self, grid: VoxelGrid, at: tuple[Volume3D, Volume3D, Volume3D], brain: Volume3D, squeeze: Volume3D,
                near: NDArray[np.bool_]) -> tuple[Volume3D, NDArray[np.bool_]]:
        """Depth below the folded surface, and where that surface has no cortex: above the corpus callosum. near: where
        folds are needed."""
        z, y, x = at
        a, b, c = _SPHERE
        rho = np.sqrt((z / a) ** 2 + (y / b) ** 2 + (x / c) ** 2 + 0.01)
        wander = [field.on(grid) for field in self.wander]
        fold = np.zeros(grid.shape, np.float32)
        fold[near] = self.folds.at(*((axis[near] / rho[near] + 3.5 * field[near])
                                     for axis, field in zip(at, wander, strict=True)))
        slope = np.sqrt(sum(part**2 for part in np.gradient(fold, grid.voxel_mm)))
        away = np.abs(fold) / np.maximum(slope, 0.08) + 60.0 * np.maximum(0.62 - rho, 0.0)
        half = self.sulcus_mm * (1.0 - 0.85 * squeeze)
        bottom = np.maximum(brain - 15.0 - 5.0 * self.depth.on(grid), 0.0)
        depth = np.minimum(brain - 0.4 - 0.7 * self.sulcus_mm, np.hypot(away, bottom) - half)
        front = 31.0 - np.abs(x) + wander[0]  # of the insula, where the Sylvian fissure ends
        beside = np.maximum(np.maximum(front, y - 26.0), np.maximum(-36.0 - y, 0.0))
        depth = np.minimum(depth, np.hypot(0.86 * (z + 9.0 - 0.55 * y + 2.5 * wander[1]), beside) - 0.4 - 1.2 * half)
        callosum = ellipsoid(z, y, np.zeros_like(x), (-2.0, 2.0, 0.0), (26.0, 37.0, 1e4))
        middle = np.abs(x + 0.9 * wander[2])
        depth = np.minimum(depth, np.hypot(middle, np.maximum(callosum, 0.0)) - 0.7 - 0.5 * half)
        return depth, (callosum > -3.0) & (middle < 4.0)

    def _paint_inner(self, tissue: NDArray[np.uint8], at: tuple[Volume3D, Volume3D, Volume3D],
                     inside: NDArray[np.bool_], squeeze: Volume3D) -> Volume3D:
        """Nuclei, ventricles and what lies in them; returns the depth in the ventricles. at: z, y and |x|."""
        width = self.ventricle
        for centre, half, kind in _NUCLEI:
            tissue[(ellipsoid(*at, centre, half) > 0) & inside] = kind
        wider, horn = (tuple((*place[:3], place[3] * width) for place in course)
                       for course in (_VENTRICLE, _TEMPORAL_HORN))
        lateral = np.maximum(tube(*at, wider), tube(*at, horn))
        third = ellipsoid(*at, (-3.0, 4.0, 0.0), (10.0, 14.0, 1.6 * width))
        fourth = ellipsoid(*at, (-42.0, 38.0, 0.0), (10.0, 5.0, 6.0))
        ventricles = np.maximum(lateral, np.maximum(third, fourth)) - 2.5 * squeeze
        tissue[ventricles > 0] = BrainTissue.LIQUOR
        tissue[(tube(*at, _CHOROID) > 0) & (ventricles > 0)] = BrainTissue.CHOROID
        return np.asarray(ventricles)


def _outlines(z: Volume3D, y: Volume3D, x: Volume3D, margin_mm: float
              ) -> tuple[Volume3D, Volume3D, Volume3D, Volume3D]:
    """Depths below the surface of everything, with the liquor around it; of cerebrum, cerebellum and stem."""
    side = np.abs(x)
    upper = ellipsoid(z, y, x, (0.0, 0.0, 0.0), (60.0, 85.0, 67.0))
    upper = np.minimum(upper, z + 22.0 - 0.09 * np.maximum(y, 0.0))
    temporal = ellipsoid(z, y, side, (-23.0, -2.0, 43.0), (20.0, 45.0, 22.0))
    brain = smooth_union(upper, temporal, 6.0)
    back = ellipsoid(z, y, side, (-43.0, 47.0, 21.0), (24.0, 31.0, 31.0))
    stem = tube(z, y, x, ((-14.0, 14.0, 0.0, 13.0), (-32.0, 16.0, 0.0, 14.5), (-48.0, 22.0, 0.0, 12.0),
                          (-64.0, 28.0, 0.0, 8.0), (-100.0, 34.0, 0.0, 6.5)))
    wide = smooth_union(smooth_union(brain, back, 16.0), stem, 12.0) + margin_mm
    return wide, brain, back, stem


def _paint_cerebellum(tissue: NDArray[np.uint8], z: Volume3D, depth: Volume3D) -> None:
    """Thin folia around white matter."""
    inside = (depth > 1.0) & (tissue != BrainTissue.STEM)
    course = (z + 0.35 * depth) / 5.0
    away = np.abs(course - np.round(course)) * 5.0
    tissue[inside] = BrainTissue.GREY
    tissue[inside & (away > 1.7) & (depth > 3.0)] = BrainTissue.WHITE
    tissue[inside & (away < 0.5) & (depth < 9.0)] = BrainTissue.LIQUOR
    tissue[inside & (depth > 14.0)] = BrainTissue.WHITE

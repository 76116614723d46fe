"""The voxels of a head, smooth random fields in it, and depths in simple shapes: mm below their surface.

A place is (z, y, x): mm upwards, to the back, and to the patient's left, about the middle of the brain. Arrays have the
same order. Coordinates are arrays that broadcast to (Z, Y, X).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...noise import Stream

Volume3D = NDArray[np.floating]
Place = tuple[float, float, float]
Course = tuple[tuple[float, float, float, float], ...]  # z, y, x and a radius
_POINTS_A_WAVE = 6  # of the lattice
_TINY = 1e-6


@dataclass(frozen=True)
class VoxelGrid:
    """Voxel centres: axes (z, y, x), each (n,) mm, with one distance `voxel_mm` along all of them."""

    axes: tuple[Volume3D, Volume3D, Volume3D]
    voxel_mm: float

    @classmethod
    def around(cls, shape: Sequence[int], voxel_mm: float, centre: Place) -> "VoxelGrid":
        z, y, x = (((np.arange(size) - (size - 1) / 2) * voxel_mm + middle).astype(np.float32)
                   for size, middle in zip(shape, centre, strict=True))
        return cls((z, y, x), voxel_mm)

    @property
    def shape(self) -> tuple[int, int, int]:
        z, y, x = self.axes
        return len(z), len(y), len(x)

    @property
    def coordinates(self) -> tuple[Volume3D, Volume3D, Volume3D]:
        """z (Z, 1, 1), y (1, Y, 1) and x (1, 1, X)."""
        z, y, x = self.axes
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def box(self, centre: Place, reach_mm: float) -> tuple[slice, slice, slice]:
        """The voxels of a cube about a place; empty where it lies outside."""
        z, y, x = centre
        return self.between((z - reach_mm, y - reach_mm, x - reach_mm), (z + reach_mm, y + reach_mm, x + reach_mm))

    def between(self, low: Place, high: Place) -> tuple[slice, slice, slice]:
        """The voxels of a box between two places."""
        z, y, x = (slice(*np.searchsorted(axis, ends).tolist())
                   for axis, ends in zip(self.axes, zip(low, high, strict=True), strict=True))
        return z, y, x

    def part(self, box: tuple[slice, slice, slice]) -> "VoxelGrid":
        z, y, x = (axis[chosen] for axis, chosen in zip(self.axes, box, strict=True))
        return VoxelGrid((z, y, x), self.voxel_mm)


@dataclass(frozen=True)
class RandomField:
    """A smooth random function of the place, of zero mean and unit variance, which repeats itself far away.

    lattice: (n, n, n) its values `step_mm` apart.
    """

    lattice: NDArray[np.float32]
    step_mm: float

    @classmethod
    def draw(cls, stream: Stream, length_mm: float, points: int = 24, band: float = 0.25) -> "RandomField":
        """length_mm: the wavelength. band: how much wavelengths differ; small: the same everywhere, as in folds."""
        white = np.fft.rfftn(stream.normals((points,) * 3).astype(np.float64))
        whole, half = np.fft.fftfreq(points), np.fft.rfftfreq(points)
        frequency = np.sqrt(whole[:, None, None] ** 2 + whole[None, :, None] ** 2 + half[None, None, :] ** 2)
        gain = np.exp(-0.5 * ((frequency * _POINTS_A_WAVE - 1.0) / band) ** 2)
        gain[0, 0, 0] = 0.0
        field = np.fft.irfftn(white * gain, s=(points,) * 3, axes=(0, 1, 2))
        return cls((field / field.std()).astype(np.float32), length_mm / _POINTS_A_WAVE)

    def on(self, grid: VoxelGrid) -> Volume3D:
        """(Z, Y, X) the values at the voxels, by cubic interpolation along each axis."""
        z, y, x = (_interpolation(axis / self.step_mm, len(self.lattice)) for axis in grid.axes)
        rows = np.tensordot(self.lattice, x, (2, 1))
        return np.asarray(np.tensordot(z, np.tensordot(rows, y, (1, 1)).swapaxes(1, 2), (1, 0)))

    def at(self, z: Volume3D, y: Volume3D, x: Volume3D) -> Volume3D:
        """The values at any places, by linear interpolation."""
        places = np.stack(np.broadcast_arrays(z, y, x)) / self.step_mm
        return np.asarray(ndimage.map_coordinates(self.lattice, places, order=1, mode="grid-wrap"), dtype=np.float32)


def _interpolation(places: Volume3D, count: int) -> NDArray[np.float32]:
    """(len(places), count) weights of cubic convolution on a lattice of `count` points that repeats itself
    (Keys, IEEE Trans Acoust 1981;29:1153-1160)."""
    first = np.floor(places).astype(np.int64)
    part = places - first
    weights = np.zeros((len(places), count), np.float32)
    rows = np.arange(len(places))
    for away in (-1, 0, 1, 2):
        t = np.abs(part - away)
        near = (1.5 * t - 2.5) * t * t + 1.0
        far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
        np.add.at(weights, (rows, (first + away) % count), np.where(t <= 1.0, near, far).astype(np.float32))
    return weights


def ellipsoid(z: Volume3D, y: Volume3D, x: Volume3D, centre: Place, half: Place) -> Volume3D:
    """First-order depth in an ellipsoid with half axes in mm: (1 - rho) / |grad rho|, exact near the surface."""
    dz, dy, dx = (axis - middle for axis, middle in zip((z, y, x), centre, strict=True))
    a, b, c = half
    rho = np.sqrt(np.maximum((dz / a) ** 2 + (dy / b) ** 2 + (dx / c) ** 2, _TINY))
    slope = np.sqrt((dz / a**2) ** 2 + (dy / b**2) ** 2 + (dx / c**2) ** 2) / rho
    return np.asarray(np.minimum((1.0 - rho) / np.maximum(slope, _TINY), min(half)), dtype=np.float32)


def tube(z: Volume3D, y: Volume3D, x: Volume3D, course: Course) -> Volume3D:
    """Depth in a tube through places (z, y, x) with a radius at each, all in mm."""
    depth: Volume3D | None = None
    for (z0, y0, x0, r0), (z1, y1, x1, r1) in pairwise(course):
        along = np.array([z1 - z0, y1 - y0, x1 - x0], dtype=np.float32)
        share = ((z - z0) * along[0] + (y - y0) * along[1] + (x - x0) * along[2]) / float(along @ along)
        share = np.clip(share, 0.0, 1.0)
        away = np.sqrt((z - z0 - share * along[0]) ** 2 + (y - y0 - share * along[1]) ** 2
                       + (x - x0 - share * along[2]) ** 2)
        segment = r0 + share * (r1 - r0) - away
        depth = segment if depth is None else np.maximum(depth, segment)
    if depth is None:
        raise ValueError("a tube needs two places")
    return np.asarray(depth, dtype=np.float32)

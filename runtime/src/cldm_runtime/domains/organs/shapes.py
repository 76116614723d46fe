"""Shapes in the body, as depths: mm below their surface, negative outside.

A point is (x, y, z): mm to the image's right, which is the patient's left, to the back, and upwards.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream

Field = NDArray[np.floating]
Point = tuple[float, float, float]
_TINY = 1e-9
_RIM_MM = 26.0  # wider than what bending moves and joining blends
OUTSIDE_MM = -1e3


@dataclass(frozen=True)
class Points:
    """Points of one plane: x and y (H, W) mm, and its z. columns (W,), rows (H,): x and y before the plane was bent."""

    x: Field
    y: Field
    level: float
    columns: Field
    rows: Field

    @classmethod
    def of_plane(cls, pixels: int, pixel_mm: float, level: float) -> "Points":
        """The pixel centres of a square plane about x = y = 0."""
        axis = ((np.arange(pixels) - (pixels - 1) / 2) * pixel_mm).astype(np.float32)
        x, y = np.meshgrid(axis, axis)
        return cls(x, y, level, axis, axis)

    @classmethod
    def of_point(cls, point: Point) -> "Points":
        column, row = (np.array([value], dtype=np.float32) for value in point[:2])
        return cls(column[None], row[None], point[2], column, row)

    def window(self, low: tuple[float, float], high: tuple[float, float]) -> tuple[slice, slice]:
        """The rows and columns of a box in x and y, with a rim for what bending moves."""
        columns = np.searchsorted(self.columns, (low[0] - _RIM_MM, high[0] + _RIM_MM))
        rows = np.searchsorted(self.rows, (low[1] - _RIM_MM, high[1] + _RIM_MM))
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


@dataclass(frozen=True)
class Swell:
    """A smooth random function of the place, of zero mean and about unit variance: a sum of cosines."""

    waves: NDArray[np.float64]  # (n, 3) radians a mm
    phase: NDArray[np.float64]

    @classmethod
    def draw(cls, stream: Stream, length_mm: float, count: int = 6) -> "Swell":
        """length_mm: the mean wavelength; waves are up to a third longer or shorter."""
        direction = stream.normals((count, 3)).astype(np.float64)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        lengths = length_mm * (0.67 + 0.66 * stream.uniforms(count))
        return cls(2 * np.pi * direction / lengths[:, None], 2 * np.pi * stream.uniforms(count))

    def __call__(self, at: Points) -> Field:
        """Of the plane before it was bent: cos(a + b) = cos a cos b - sin a sin b makes it two products of matrices."""
        across = np.outer(at.columns, self.waves[:, 0])
        down = np.outer(at.rows, self.waves[:, 1]) + self.waves[:, 2] * at.level + self.phase
        total = np.cos(down) @ np.cos(across).T - np.sin(down) @ np.sin(across).T
        return np.asarray(total * np.sqrt(2.0 / len(self.phase)), dtype=np.float32)


@dataclass(frozen=True)
class Bending:
    """Moves places, so that no shape stays a perfect ellipsoid: by long waves and by short ones, mm."""

    long: tuple[Swell, Swell]
    short: tuple[Swell, Swell]
    moves_mm: tuple[float, float]

    @classmethod
    def draw(cls, stream: Stream, moves_mm: tuple[float, float], lengths_mm: tuple[float, float] = (110.0, 38.0)
             ) -> "Bending":
        long, short = ((Swell.draw(stream, length, 5), Swell.draw(stream, length, 5)) for length in lengths_mm)
        return cls(long, short, moves_mm)

    def __call__(self, at: Points) -> Points:
        far, near = self.moves_mm
        x, y = (place + far * long(at) + near * short(at)
                for place, long, short in zip((at.x, at.y), self.long, self.short, strict=True))
        return Points(x, y, at.level, at.columns, at.rows)


@dataclass(frozen=True)
class Ellipsoid:
    """half: half axes, mm; infinite along z: a cylinder. turn: radians about z, from x towards y. power: 2 an
    ellipsoid, more: the outline in the plane is squarer."""

    centre: Point
    half: Point
    turn: float = 0.0
    power: float = 2.0

    def __call__(self, at: Points) -> Field:
        """First-order distance (1 - rho) / |grad rho|, exact near the surface; far outside, `OUTSIDE_MM`."""
        depth = np.full(at.x.shape, OUTSIDE_MM, dtype=np.float32)
        up = abs(at.level - self.centre[2])
        if up > self.half[2] + _RIM_MM:
            return depth
        (x, y, _), reach = self.centre, max(self.half[:2]) if self.turn else 0.0
        wide, deep = max(reach, self.half[0]), max(reach, self.half[1])
        box = at.window((x - wide, y - deep), (x + wide, y + deep))
        depth[box] = self._depth(at.x[box] - x, at.y[box] - y, up)
        return depth

    def _depth(self, right: Field, down: Field, up: float) -> Field:
        if self.turn:
            cos, sin = math.cos(self.turn), math.sin(self.turn)
            right, down = cos * right + sin * down, cos * down - sin * right
        n, (wide, deep, high) = self.power, self.half
        across, below, above = np.abs(right) / wide, np.abs(down) / deep, up / high
        if n == 2.0:
            across1, below1 = across, below
        else:
            across1, below1 = across ** (n - 1), below ** (n - 1)
        total = np.maximum(across1 * across + below1 * below + above**n, _TINY)
        rho = np.sqrt(total) if n == 2.0 else total ** (1 / n)
        slope = np.sqrt((across1 / wide) ** 2 + (below1 / deep) ** 2 + (above ** (n - 1) / high) ** 2)
        return np.asarray(np.minimum((1.0 - rho) * total / (rho * np.maximum(slope, _TINY)), min(self.half)))

    def contains(self, point: Point) -> float:
        """The depth of one point."""
        return float(self(Points.of_point(point))[0, 0])

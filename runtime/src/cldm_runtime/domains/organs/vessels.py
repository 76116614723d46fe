"""Thin branching vessels: trees of straight tubes, and courses through given points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream
from .shapes import OUTSIDE_MM, Field, Point, Points

_RIM_MM = 4.0  # above and below a tube


@dataclass(frozen=True)
class Tubes:
    """starts, ends (n, 3) mm; radii (n, 2) mm at both."""

    starts: Field
    ends: Field
    radii: Field

    @classmethod
    def through(cls, points: Sequence[Point], radii: Sequence[float]) -> "Tubes":
        """One vessel along a broken line."""
        places, widths = np.array(points, dtype=np.float64), np.array(radii, dtype=np.float64)
        return cls(places[:-1], places[1:], np.stack([widths[:-1], widths[1:]], axis=1))

    def __add__(self, other: "Tubes") -> "Tubes":
        return Tubes(*(np.concatenate(pair) for pair in zip(vars(self).values(), vars(other).values(), strict=True)))

    def __call__(self, at: Points) -> Field:
        """Depth in the nearest tube; far outside, `OUTSIDE_MM`."""
        depth = np.full(at.x.shape, OUTSIDE_MM, dtype=np.float32)
        reach = self.radii.max(axis=1)
        low, high = (ends(self.starts, self.ends) for ends in (np.minimum, np.maximum))
        near = (low[:, 2] - reach - _RIM_MM < at.level) & (at.level < high[:, 2] + reach + _RIM_MM)
        for number in np.flatnonzero(near):
            size = reach[number]
            (left, front), (right, back) = low[number, :2] - size, high[number, :2] + size
            box = at.window((left, front), (right, back))
            tube = self._depth(int(number), at.x[box], at.y[box], at.level)
            depth[box] = np.maximum(depth[box], tube)
        return depth

    def _depth(self, number: int, x: Field, y: Field, z: float) -> Field:
        start, (across, down, up) = self.starts[number], (self.ends[number] - self.starts[number]).tolist()
        right, back, over = x - float(start[0]), y - float(start[1]), z - float(start[2])
        share = (right * across + back * down + over * up) / max(across**2 + down**2 + up**2, 1e-9)
        share = np.clip(share, 0.0, 1.0)
        away = np.sqrt((right - share * across) ** 2 + (back - share * down) ** 2 + (over - share * up) ** 2)
        first, last = (float(radius) for radius in self.radii[number])
        return np.asarray(first + share * (last - first) - away)


@dataclass(frozen=True)
class Branching:
    """How a tree grows. length: of a branch, in radii of it. spread: of the directions, 0 straight on. least_mm: the
    radius below which nothing branches."""

    length: float
    spread: float
    least_mm: float


def grow(stream: Stream, root: Point, heading: Point, radius_mm: float, how: Branching) -> Tubes:
    """A tree from a root. The two branches of a fork obey Murray's law, r^3 = r1^3 + r2^3 (Murray, Proc Natl Acad Sci
    1926;12:207-214)."""
    starts, ends, radii = list[NDArray[np.float64]](), list[NDArray[np.float64]](), list[tuple[float, float]]()
    waiting = [(np.array(root), np.array(heading) / np.linalg.norm(heading), radius_mm)]
    while waiting:
        start, direction, radius = waiting.pop()
        share = stream.uniform(0.3, 0.7)
        children = radius * share ** (1 / 3), radius * (1 - share) ** (1 / 3)
        end = start + direction * how.length * radius ** 0.6 * stream.uniform(0.7, 1.3)
        starts, ends, radii = [*starts, start], [*ends, end], [*radii, (radius, max(children))]
        aside = _square_to(direction, stream.normals((3,)))
        for child, side in zip(children, (1.0, -1.0), strict=True):
            if child >= how.least_mm:
                thinner = (radius - 0.8 * child) / radius
                turned = direction + side * how.spread * stream.uniform(0.6, 1.4) * thinner * aside
                waiting.append((end, turned / np.linalg.norm(turned), child))
    return Tubes(np.array(starts), np.array(ends), np.array(radii))


def _square_to(direction: NDArray[np.float64], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """A unit vector square to both: their vector product; numpy's takes most of the time of a tree."""
    (a, b, c), (d, e, f) = direction.tolist(), other.tolist()
    product = np.array([b * f - c * e, c * d - a * f, a * e - b * d])
    return np.asarray(product / math.sqrt(float(product @ product)))

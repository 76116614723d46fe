"""Tumours: lobed balls inside other shapes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...noise import Stream
from .shapes import Ellipsoid, Field, Point, Points, Swell
from .tissue import Matter, Paper

_TRIES = 40


@dataclass(frozen=True)
class Mass:
    """lobes: how uneven its surface is, mm. core: share of the radius that is necrotic, 0 for none."""

    ball: Ellipsoid
    surface: Swell
    lobes_mm: float
    core: float

    def paint(self, canvas: Paper, at: Points, room: Field) -> None:
        """room: the depth in what holds it."""
        depth = self.ball(at)
        if not (depth > -2 * self.lobes_mm - 2).any():
            return
        depth = depth + self.lobes_mm * self.surface(at)
        depth = np.minimum(depth, room)
        canvas.paint(depth, Matter.TUMOUR)
        if self.core:
            canvas.paint(depth - (1.0 - self.core) * min(self.ball.half), Matter.NECROSIS)


def draw_masses(stream: Stream, hosts: Sequence[tuple[Ellipsoid, float]], counts: Sequence[float],
                radii_mm: tuple[float, float]) -> tuple[Mass, ...]:
    """hosts: shapes that may hold one, with weights. counts: weight of 0, 1, 2 ... masses. radii_mm: small ones are
    more frequent: the logarithm is uniform."""
    weights = np.array([weight for _, weight in hosts])
    masses = list[Mass]()
    for _ in range(stream.choice(np.array(counts))):
        host = hosts[stream.choice(weights)][0]
        radius = float(np.exp(stream.uniform(*np.log(radii_mm))))
        radius = min(radius, 0.6 * min(host.half))
        centre = _place_in(stream, host, 0.5 * radius)
        half = tuple(radius * stream.uniform(0.85, 1.2) for _ in range(3))
        core = stream.uniform(0.4, 0.75) if radius > 9.0 and stream.uniform() < 0.4 else 0.0
        masses.append(Mass(Ellipsoid(centre, (half[0], half[1], half[2]), stream.uniform(0.0, 3.0)),
                           Swell.draw(stream, 1.6 * radius + 4.0), stream.uniform(0.04, 0.16) * radius, core))
    return tuple(masses)


def _place_in(stream: Stream, host: Ellipsoid, depth_mm: float) -> Point:
    """A point at least so deep in an ellipsoid; its centre if none is found."""
    for _ in range(_TRIES):
        middle = [centre + half * stream.uniform(-1.0, 1.0)
                  for centre, half in zip(host.centre, host.half, strict=True)]
        point = (middle[0], middle[1], middle[2])
        if host.contains(point) >= depth_mm:
            return point
    return host.centre

"""The right ventricle, the atria, and the fat and pericardium around the whole heart.

Epicardial fat is log-normal, median 2 mm, up to 12 mm in the grooves, and 2.5 to 7 mm on the free wall of the right
ventricle (Eroglu et al. 2009: 4.4 +- .8 mm, with coronary disease 6.9 +- 1.5 mm). Fat reaches all around the heart,
with the pericardium as a thin line in it (measured on two public LGE cases).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field, Waves
from .plane import TURN, Plane, length, smooth_minimum
from .tissue import BodyTissue

Tissues = NDArray[np.uint8]


@dataclass(frozen=True)
class Bulge:
    """An oval chamber beside the left ventricle, from a level to the base: outflow tract or atrium. Its width is across
    the radius, `flatness` times its height."""

    angle: float
    gap_mm: float
    radius_mm: float
    flatness: float
    first: float

    def distance(self, plane: Plane, outer_mm: float) -> Field | None:
        """Distance from its outside; None at the levels that it does not reach."""
        if plane.z < self.first:
            return None
        radius = self.radius_mm * (0.7 + 0.3 * min(1.0, (plane.z - self.first) / 0.2))
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        out = plane.x * cos + plane.y * sin - outer_mm - self.gap_mm - radius
        return length(out, (plane.y * cos - plane.x * sin) / self.flatness) - radius


@dataclass(frozen=True)
class RightHeart:
    """Lengths in mm, angles in rad. first: level where the right ventricle begins. reach: of its free wall beyond the
    left ventricle in the middle. height: relative to the left ventricle. band: level, offset and slope of the
    moderator band."""

    first: float
    reach_mm: float
    height: float
    angle: float
    wall_mm: float
    ridge_mm: float
    band: tuple[float, float, float]
    tract: Bulge
    atria: tuple[Bulge, ...]

    @classmethod
    def draw(cls, stream: Stream) -> "RightHeart":
        def bulge(degrees: float, gap: tuple[float, float], radius: tuple[float, float], flatness: float,
                  first: tuple[float, float]) -> Bulge:
            return Bulge(float(np.deg2rad(stream.normal(degrees, 8.0))), stream.uniform(*gap), stream.uniform(*radius),
                         flatness * stream.uniform(0.8, 1.2), stream.uniform(*first))

        return cls(
            first=stream.uniform(0.05, 0.22), reach_mm=stream.uniform(20.0, 38.0), height=stream.uniform(0.95, 1.2),
            angle=float(np.deg2rad(stream.normal(183.0, 7.0))),
            wall_mm=stream.uniform(2.2, 4.0), ridge_mm=stream.uniform(2.0, 5.0),
            band=(stream.uniform(0.25, 0.4), stream.uniform(-10.0, 6.0), stream.uniform(-0.6, 0.2)),
            tract=bulge(134.0, (-14.0, -7.0), (13.0, 18.0), 1.1, (0.5, 0.75)),
            atria=(bulge(315.0, (1.5, 4.0), (9.0, 16.0), 1.8, (0.86, 1.1)),
                   bulge(218.0, (1.5, 4.0), (9.0, 16.0), 1.6, (0.84, 1.1))),
        )

    def distance(self, plane: Plane, outer_mm: float) -> Field:
        """(N, N) distance from the outside of the right ventricle, negative inside; large where there is none."""
        present = float(np.clip((plane.z - self.first) / 0.45, 0.0, 1.0)) ** 0.55
        if present < 0.15:
            return np.full(plane.rho.shape, 1000.0)
        reach = self.reach_mm * present
        half_width, half_height = (reach + 0.8 * outer_mm) / 2, outer_mm * self.height * (0.55 + 0.45 * present)
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        out, up = plane.x * cos + plane.y * sin, plane.y * cos - plane.x * sin
        away = length((out - (outer_mm + reach - half_width)) / half_width, up / half_height)
        body: Field = (away - 1.0) * min(half_width, half_height)
        tract = self.tract.distance(plane, outer_mm)
        return body if tract is None else smooth_minimum(body, tract, 6.0)

    def paint(self, tissue: Tissues, plane: Plane, distance: Field, medium: Field) -> None:
        """Wall, trabeculae, moderator band and blood; `distance` is from the outside of the right ventricle."""
        ridges = self.ridge_mm * np.clip(medium - 0.3, 0.0, 1.5) * float(np.interp(plane.z, (0.2, 0.9), (1.4, 0.4)))
        inside = distance < 0
        tissue[inside] = BodyTissue.RV_WALL
        tissue[distance < -self.wall_mm - ridges] = BodyTissue.RV_BLOOD
        level, offset, slope = self.band
        half = 2.4 * (1.0 - ((plane.z - level) / 0.09) ** 2)
        if half > 0:
            tissue[inside & (np.abs(plane.y - offset - slope * (plane.x + 30.0) + medium) < half)] = BodyTissue.RV_WALL

    def paint_atria(self, tissue: Tissues, plane: Plane, outer_mm: float) -> Field:
        """The atria that reach this level; returns the distance from them."""
        nearest = np.full(plane.rho.shape, 1000.0)
        for atrium in self.atria:
            distance = atrium.distance(plane, outer_mm)
            if distance is not None:
                tissue[distance < 0] = BodyTissue.ATRIUM_WALL
                tissue[distance < -2.0] = BodyTissue.ATRIUM_BLOOD
                nearest = np.minimum(nearest, distance)
        return nearest


@dataclass(frozen=True)
class Envelope:
    """Fat between heart and pericardium, fluid, pericardium, and the fat outside of it. Thicknesses in mm."""

    left_mm: float
    right_mm: float
    outside_mm: float
    groove_mm: float
    waves: Waves
    outside_waves: Waves
    effusion_mm: float
    line_mm: float
    vessels: tuple[tuple[float, float], ...]  # coronary arteries: angle, radius in mm

    @classmethod
    def draw(cls, stream: Stream) -> "Envelope":
        left = float(np.clip(2.1 * np.exp(stream.normal(0.0, 0.55)), 0.8, 8.0))
        return cls(
            left, stream.uniform(2.5, 7.0), float(np.clip(1.0 * np.exp(stream.normal(0.0, 0.8)), 0.2, 8.0)),
            stream.uniform(5.0, 10.0), Waves.draw(stream, range(1, 7), 0.6), Waves.draw(stream, range(1, 5), 0.6),
            max(0.0, stream.uniform(-10.0, 3.0)), stream.uniform(0.8, 1.4),
            tuple((float(np.deg2rad(stream.normal(degrees, 6.0))), stream.uniform(1.2, 2.0))
                  for degrees in (118.0, 242.0, 20.0)),
        )

    def sac(self, plane: Plane, left: Field, right: Field, atria: Field) -> Field:
        """(N, N) distance from the pericardium: the grooves between the chambers are filled with fat."""
        heart = smooth_minimum(smooth_minimum(left, right, self.groove_mm), atria, self.groove_mm)
        waves = np.exp(1.2 * np.tanh(self.waves(TURN, plane.z)))
        of_left = plane.around(np.minimum(self.left_mm * waves, 9.0))
        of_right = plane.around(self.right_mm * np.sqrt(waves))
        share = np.clip(0.5 + (left - np.minimum(right, atria)) / 16.0, 0.0, 1.0)
        return np.asarray(heart - of_left * (1.0 - share) - of_right * share)

    def paint(self, tissue: Tissues, plane: Plane, sac: Field) -> None:
        """From outside to inside; the chambers are painted afterwards."""
        # Least beside the left lung, at 0 degrees.
        outside = self.outside_mm * np.exp(1.5 * np.tanh(self.outside_waves(TURN, plane.z)))
        tissue[sac < plane.around(outside * (0.8 - 0.3 * np.cos(TURN)))] = BodyTissue.PERICARDIAL_FAT
        tissue[sac < self.line_mm] = BodyTissue.PERICARDIUM
        pooled = plane.around(self.effusion_mm * np.clip(0.3 - np.sin(TURN), 0.0, 1.0))  # gathers below
        tissue[sac < 0] = BodyTissue.FLUID
        tissue[sac < -pooled] = BodyTissue.EPICARDIAL_FAT

    def paint_vessels(self, tissue: Tissues, plane: Plane, outer_mm: float) -> None:
        """Coronary arteries in the fat of the grooves."""
        fat = tissue == BodyTissue.EPICARDIAL_FAT
        x, y, painted = plane.x[fat], plane.y[fat], tissue[fat]
        for angle, radius in self.vessels:
            distance = outer_mm + 4.0
            painted[length(x - distance * np.cos(angle), y - distance * np.sin(angle)) < radius] = BodyTissue.VESSEL
        tissue[fat] = painted

"""What lies in the cavity: papillary muscles and trabeculae, which readers count as cavity, and the outflow tract.

At mid level 10 to 35 % of the cavity is dark, and all of it is attached to the wall (measured on two public LGE cases).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field, Waves, wrap
from .chamber import Chamber
from .plane import TURN, Plane, length


@dataclass(frozen=True)
class PapillaryHead:
    """An elliptic head that overlaps the wall. Semi-axes in mm; first, last: levels between which it exists."""

    angle: float
    radial_mm: float
    tangential_mm: float
    first: float
    last: float

    @classmethod
    def draw(cls, stream: Stream, angle: float) -> "PapillaryHead":
        return cls(angle, stream.uniform(4.0, 7.0), stream.uniform(3.5, 6.5), stream.uniform(0.08, 0.22),
                   stream.uniform(0.66, 0.84))

    def swell(self, z: float) -> float:
        """Size relative to that in the middle of its course."""
        place = (z - self.first) / (self.last - self.first)
        return float(np.sin(np.pi * place) ** 0.4) if 0 < place < 1 else 0.0

    def covers(self, x: Field, y: Field, size: float, endocardium_mm: float, rough: Field) -> NDArray[np.bool_]:
        """Which points the head covers, with a stalk to the wall; `rough` bends its outline."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        radial, across = x * cos + y * sin, y * cos - x * sin
        centre, half = endocardium_mm - 0.8 * self.radial_mm * size, self.tangential_mm * size
        away = length((radial - centre) / (self.radial_mm * size), across / half)
        stalk = (radial > centre) & (np.abs(across) < 0.6 * half)
        return np.asarray((away < 1.0 + 0.15 * rough) | stalk)


@dataclass(frozen=True)
class CavityContent:
    """ridges: trabeculae along the wall, in units of `ridge_mm`. outflow_from, outflow_angle, outflow_half_width: level
    from which, and angle (rad) at which, blood of the outflow tract replaces the muscle of the ring."""

    heads: tuple[PapillaryHead, ...]
    ridges: Waves
    ridge_mm: float
    outflow_from: float
    outflow_angle: float
    outflow_half_width: float

    @classmethod
    def draw(cls, stream: Stream) -> "CavityContent":
        heads = []
        for degrees in (42.0, 255.0):  # anterolateral and posteromedial
            angle = float(np.deg2rad(stream.normal(degrees, 11.0)))
            heads.append(PapillaryHead.draw(stream, angle))
            if stream.uniform() < 0.55:  # a group of two heads
                heads.append(PapillaryHead.draw(stream, angle + stream.uniform(0.3, 0.5)))
        return cls(tuple(heads), _draw_ridges(stream), stream.uniform(0.8, 2.6), stream.uniform(0.84, 1.04),
                   float(np.deg2rad(stream.normal(138.0, 10.0))), float(np.deg2rad(stream.uniform(16.0, 34.0))))

    def muscle(self, plane: Plane, chamber: Chamber, cavity: NDArray[np.bool_], medium: Field) -> NDArray[np.bool_]:
        """(N, N) papillary muscles and trabeculae in the cavity."""
        inner = chamber.endocardium(plane.z)
        # More trabeculae towards the apex, none at the base; the septum (180 degrees) is smooth.
        highest = self.ridge_mm * float(np.interp(plane.z, (0.0, 0.25, 0.7, 0.95), (0.8, 1.3, 0.7, 0.2)))
        height = np.minimum(highest, 0.3 * inner) * (0.65 + 0.35 * np.cos(TURN))
        crest = inner - height * np.clip(self.ridges(TURN, plane.z), 0.0, 2.2)
        x, y, rough = plane.x[cavity], plane.y[cavity], medium[cavity]
        covered = plane.rho[cavity] > crest[plane.angle[cavity]]
        for head in self.heads:
            at_head = float(np.interp(head.angle, TURN, inner, period=2 * np.pi))
            size = min(head.swell(plane.z), at_head / 14.0)
            if size > 0:
                covered |= head.covers(x, y, size, at_head, rough)
        muscle = np.zeros(cavity.shape, dtype=np.bool_)
        muscle[cavity] = covered
        return muscle

    def outflow(self, plane: Plane, radius: Field) -> NDArray[np.bool_]:
        """(N, N) where blood lies though the reader closes the ring there."""
        if plane.z < self.outflow_from:
            return np.zeros(radius.shape, dtype=np.bool_)
        opening = self.outflow_half_width * min(1.0, 0.4 + (plane.z - self.outflow_from) / 0.08)
        sector = plane.around((np.abs(wrap(TURN - self.outflow_angle)) < opening).astype(np.float64)) > 0
        return np.asarray(sector & (radius >= 0) & (radius < 0.8))


def _draw_ridges(stream: Stream) -> Waves:
    """Waves of equal strength and unit variance, 7 to 18 around the cavity; they change along it."""
    order = np.arange(7.0, 19.0)
    amplitude, drift = stream.normals((2, len(order))).astype(np.float64) * np.sqrt(2.0 / len(order))
    return Waves(order, amplitude, 2.0 * drift, stream.uniforms(len(order)) * 2 * np.pi)

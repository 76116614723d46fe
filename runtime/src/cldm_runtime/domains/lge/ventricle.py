"""Outline of the left ventricle and extent of an infarct, analytic in polar coordinates about the LV centre.

Symbols: theta angle, counter-clockwise from +x as seen on the screen; rho distance from the centre in mm; z slice
position (0 apex, 1 base); r = (rho - R(theta)) / W(theta) normalised wall radius. In the standard short-axis view the
anterior wall is up (90 degrees), the septum left (180), the inferior wall down (270) and the lateral wall right (0).

Sizes: end-diastolic short-axis diameter 45..65 mm and wall 7..12 mm, the range from normal to remodelled after
infarction (Lang et al., Recommendations for cardiac chamber quantification, J Am Soc Echocardiogr 2015;28:1-39).
Infarcts grow as a wavefront from the endocardium (Reimer and Jennings, Lab Invest 1979;40:633-644).
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream

Field = NDArray[np.float64]

TERRITORY_DEG = (115.0, 250.0, 340.0)  # centres of the LAD, RCA and LCX territories
TERRITORY_WEIGHT = np.array([0.5, 0.3, 0.2])


@dataclass(frozen=True)
class Waves:
    """A smooth periodic function of theta that drifts with z: sum_k a_k(z) cos(k theta - phi_k)."""

    order: Field
    amplitude: Field
    drift: Field
    phase: Field

    @classmethod
    def draw(cls, stream: Stream, orders: range, deviation: float) -> "Waves":
        count, order = len(orders), np.array(orders, dtype=np.float64)
        scale = deviation / np.maximum(order - 1, 1)
        amplitude, drift = stream.normals((2, count)).astype(np.float64) * scale
        return cls(order, amplitude, drift, stream.uniforms(count) * 2 * np.pi)

    def __call__(self, theta: Field, z: float) -> Field:
        column = (-1, *[1] * theta.ndim)
        waves = np.cos(self.order.reshape(column) * theta - self.phase.reshape(column))
        return np.tensordot(self.amplitude + (z - 0.5) * self.drift, waves, 1)


@dataclass(frozen=True)
class Ventricle:
    """One patient's left ventricle. Lengths in mm; `thinning` is the relative loss of wall at the scar's centre."""

    base_radius: float
    wall: float
    apex_wall: float
    apex: float
    outline: Waves
    thickness: Waves
    thinning: float = 0.0
    scar_angle: float = 0.0
    scar_width: float = 1.0

    @classmethod
    def draw(cls, stream: Stream) -> "Ventricle":
        return cls(
            base_radius=float(np.clip(stream.normal(25.5, 2.6), 20.0, 32.0)),
            wall=float(np.clip(stream.normal(9.2, 1.0), 7.2, 12.0)),
            apex_wall=stream.uniform(0.72, 0.95),
            apex=stream.uniform(0.08, 0.2),
            outline=Waves.draw(stream, range(2, 5), 0.045),
            thickness=Waves.draw(stream, range(1, 4), 0.06),
        )

    def endocardium(self, theta: Field, z: float) -> Field:
        """R(theta): distance of the endocardium from the centre; the long axis is half an ellipse."""
        height = 1.0 - (self.apex + (1.0 - self.apex) * z)
        radius: Field = self.base_radius * np.sqrt(1.0 - height**2) * (1.0 + self.outline(theta, z))
        return radius

    def thickness_at(self, theta: Field, z: float) -> Field:
        """W(theta): thickness of the wall."""
        level = self.wall * (self.apex_wall + (1.0 - self.apex_wall) * min(1.0, z / 0.4))
        bump = np.exp(-0.5 * (wrap(theta - self.scar_angle) / self.scar_width) ** 2)
        return level * (1.0 + self.thickness(theta, z)) * (1.0 - self.thinning * bump)


@dataclass(frozen=True)
class Lesion:
    """A patch of infarct: |theta - angle| over half_width, |r - layer| over depth, joined by a norm of the given
    power; `lag` shrinks it relative to the others."""

    angle: float
    half_width: float
    depth: float
    layer: float = 0.0
    power: float = 3.0
    lag: float = 0.0

    def distance(self, theta: Field, radius: Field) -> Field:
        across = np.abs(radius - self.layer) / self.depth
        along = np.abs(wrap(theta - self.angle)) / self.half_width
        return (across**self.power + along**self.power) ** (1.0 / self.power) + self.lag


@dataclass(frozen=True)
class ScarCourse:
    """One lesion along the long axis: widest at `level`, gone `reach` away from it; `twist`: rad a unit of z."""

    lesion: Lesion
    level: float
    reach: float
    twist: float

    def at(self, z: float) -> Lesion | None:
        """The lesion's cross-section at a level; None beyond its ends."""
        inside = 1.0 - ((z - self.level) / self.reach) ** 2
        if inside <= 0.02:
            return None
        whole = self.lesion
        return replace(whole, angle=whole.angle + self.twist * (z - self.level),
                       half_width=whole.half_width * inside**0.5, depth=whole.depth * inside**0.35)


@dataclass(frozen=True)
class Roughness:
    """A smooth random field over the wall between -amplitude and amplitude; its grain is a few millimetres."""

    amplitude: float
    along: Field
    across: Field
    phase: Field

    @classmethod
    def draw(cls, stream: Stream, amplitude: float, waves: int = 8) -> "Roughness":
        along = np.round(stream.normals((waves,)).astype(np.float64) * 6.0)
        across = stream.normals((waves,)).astype(np.float64) * 3.5
        return cls(amplitude, along, across, stream.uniforms(waves) * 2 * np.pi)

    def __call__(self, theta: Field, radius: Field) -> Field:
        column = (-1, *[1] * theta.ndim)
        angle = self.along.reshape(column) * theta
        angle += self.across.reshape(column) * radius
        angle += self.phase.reshape(column)
        field = np.cos(angle, out=angle).sum(axis=0)
        bounded: Field = self.amplitude * np.tanh(np.sqrt(2.0 / len(self.phase)) * field)
        return bounded


def wrap(angle: Field) -> Field:
    """Angles folded into [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def pixel_axes(shape: tuple[int, int], spacing_mm: tuple[float, float],
               centre_mm: tuple[float, float]) -> tuple[Field, Field]:
    """(y, x) of the rows and columns of pixels, mm down and to the right of the LV centre."""
    y = (np.arange(shape[0], dtype=np.float64) - (shape[0] - 1) / 2) * spacing_mm[0] - centre_mm[0]
    x = (np.arange(shape[1], dtype=np.float64) - (shape[1] - 1) / 2) * spacing_mm[1] - centre_mm[1]
    return y, x


def polar(shape: tuple[int, int], spacing_mm: tuple[float, float], centre_mm: tuple[float, float],
          rotation_deg: float = 0.0) -> tuple[Field, Field]:
    """(theta, rho) of every pixel centre; `centre_mm` (down, right) is the LV centre's offset from the image centre."""
    y, x = pixel_axes(shape, spacing_mm, centre_mm)
    theta = np.arctan2(-y[:, None], x[None, :]) - np.deg2rad(rotation_deg)
    return theta, np.hypot(y[:, None], x[None, :])


def draw_territory(stream: Stream) -> float:
    """Angle (rad) of an infarct's centre: a coronary territory, and a scatter about its centre."""
    centre = TERRITORY_DEG[stream.choice(TERRITORY_WEIGHT)]
    return float(np.deg2rad(stream.normal(centre, 22.0)))

"""Where the pixels of a short-axis slice lie: in the image, about the left ventricle, and in the body.

Coordinates of the heart: x towards the lateral wall, y towards the anterior wall, the septum at 180 degrees; z runs
from 0 (apex) to 1 (base). Coordinates of the body: left, anterior, superior in mm from the middle of the ventricle. The
long axis points left, forwards and down, about 35 degrees out of each plane of the body; therefore the chest wall comes
near at the apex, and the aorta and the spine lie at the base only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..ventricle import Field
from .tissue import FIELD_OF_VIEW_MM

TURN: Field = np.linspace(-np.pi, np.pi, 1440, endpoint=False)


def _axes() -> tuple[Field, Field, Field]:
    """Unit vectors (left, anterior, superior) to the apex, to the lateral and to the anterior wall."""
    apex = np.array([0.62, 0.58, -0.53])
    apex /= np.linalg.norm(apex)
    up = np.array([0.1, 0.55, 0.83])
    up -= apex * (up @ apex)
    up /= np.linalg.norm(up)
    return apex, np.cross(apex, up), up


TO_APEX, TO_LATERAL, TO_ANTERIOR = _axes()


@dataclass(frozen=True)
class Placement:
    """How a patient's heart lies. centre_mm, drift_mm: (down, right) offset of the ventricle from the image centre, and
    its change from apex to base. tilt: angle of the body in the image; twist: of the heart in the body (rad).
    length_mm: from the apex to the base."""

    centre_mm: tuple[float, float]
    drift_mm: tuple[float, float]
    tilt: float
    twist: float
    length_mm: float

    def towards_apex_mm(self, z: float) -> float:
        """Distance of a level from the middle of the ventricle, positive towards the apex."""
        return (0.5 - z) * self.length_mm


@dataclass(frozen=True)
class Plane:
    """All arrays are (N, N), lengths in mm. angle: index of a pixel's angle in `TURN`."""

    z: float
    spacing_mm: float
    x: Field
    y: Field
    rho: Field
    angle: NDArray[np.intp]
    left: Field
    anterior: Field
    superior: Field

    @classmethod
    def at(cls, place: Placement, z: float, jitter_mm: tuple[float, float], pixels: int) -> "Plane":
        """The slice at level z, moved by `jitter_mm` (down, right)."""
        spacing = FIELD_OF_VIEW_MM / pixels
        axis = np.asarray((np.arange(pixels) - (pixels - 1) / 2) * spacing, dtype=np.float64)
        right = axis[None, :] - place.centre_mm[1] - jitter_mm[1]
        up = -(axis[:, None] - place.centre_mm[0] - jitter_mm[0])
        u, v = _turned(right, up, place.tilt)
        x, y = _turned(u - place.drift_mm[1] * (z - 0.5), v + place.drift_mm[0] * (z - 0.5), place.twist)
        angle = ((np.arctan2(y, x) + np.pi) * (len(TURN) / (2 * np.pi))).astype(np.intp) % len(TURN)
        depth = place.towards_apex_mm(z)
        left, anterior, superior = (TO_APEX[i] * depth + TO_LATERAL[i] * u + TO_ANTERIOR[i] * v for i in range(3))
        return cls(z, spacing, x, y, length(x, y), angle, left, anterior, superior)

    def around(self, values: Field) -> Field:
        """(N, N) values of a function of the angle that is tabulated over `TURN`."""
        return values.take(self.angle)


def _turned(x: Field, y: Field, angle: float) -> tuple[Field, Field]:
    """(x, y) in axes that are turned counter-clockwise by `angle`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


def length(x: Field, y: Field) -> Field:
    """sqrt(x^2 + y^2); five times as fast as numpy's hypot, which guards against numbers that lengths never reach."""
    return np.asarray(np.sqrt(x * x + y * y), dtype=np.float64)


def smooth_minimum(first: Field, second: Field, width_mm: float) -> Field:
    """Minimum of two distances whose corner is rounded: the union of two bodies, its notch filled."""
    share = np.clip(0.5 + (second - first) / (2 * width_mm), 0.0, 1.0)
    rounded: Field = second + (first - second) * share - width_mm * share * (1.0 - share)
    return rounded

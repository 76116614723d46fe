"""Shape of the left ventricle.

Ranges: cavity diameter 10 to 30 mm near the apex, 36 to 50 in the middle, 32 to 52 at the base, which may taper by 0 to
30 %; mean wall 6 to 12 mm, thicker towards the base, 4 to 14 mm within a slice (measured on two public LGE cases; at
end-diastole Kawel et al., J Cardiovasc Magn Reson 2012, PMC3412148); a scar thins the wall to .6 of its thickness.
A reader draws the wall about 1.5 mm thinner than it is (contours.py); the ranges of the wall hold for his contours.
"""

from dataclasses import dataclass

import numpy as np

from ....noise import Stream
from ..ventricle import Field, Waves, wrap
from .plane import TURN

_SMALLEST_CAVITY_MM = 3.0  # radius: the ring of a label map is closed in every slice, and has a cavity


@dataclass(frozen=True)
class Thinning:
    """Loss of wall at a scar: a share of the thickness at its centre, less towards its ends (rad, share of length)."""

    share: float
    angle: float
    width: float
    level: float
    reach: float

    def remains(self, z: float) -> Field:
        """(1440,) share of the thickness that remains."""
        across = wrap(TURN - self.angle) / self.width
        along = (z - self.level) / self.reach
        return np.asarray(1.0 - self.share * np.exp(-0.5 * (across**2 + along**2)))


@dataclass(frozen=True)
class Chamber:
    """radius_mm: of the cavity at its widest. tip: level where the cavity ends."""

    radius_mm: float
    wall_mm: float
    apex_wall: float
    tip: float
    taper: float
    outline: Waves
    thickness: Waves
    thinning: Thinning

    @classmethod
    def draw(cls, stream: Stream, thinning: Thinning) -> "Chamber":
        return cls(
            radius_mm=float(np.clip(stream.normal(24.3, 2.3), 20.0, 30.0)),
            wall_mm=float(np.clip(stream.normal(10.0, 1.2), 7.6, 13.0)),
            apex_wall=stream.uniform(0.4, 0.72),
            tip=stream.uniform(-0.04, 0.06),
            taper=stream.uniform(0.0, 0.3),
            outline=Waves.draw(stream, range(2, 6), 0.042),
            thickness=Waves.draw(stream, range(1, 6), 0.12),
            thinning=thinning,
        )

    def endocardium(self, z: float) -> Field:
        """(1440,) distance of the endocardium from the centre in mm; the long axis is half an ellipse that tapers."""
        height = 1.0 - np.clip((z - self.tip) / (1.0 - self.tip), 0.0, 1.0)
        taper = 1.0 - self.taper * np.clip((z - 0.55) / 0.45, 0.0, 1.0) ** 2
        radius = self.radius_mm * np.sqrt(1.0 - height**2) * taper * (1.0 + self.outline(TURN, z))
        return np.asarray(np.maximum(radius, _SMALLEST_CAVITY_MM))

    def wall(self, z: float) -> Field:
        """(1440,) thickness of the wall in mm."""
        level = np.interp(z, (0.0, 0.35, 0.6, 1.0), (self.apex_wall, 0.92, 1.0, 1.1))
        waves = np.clip(1.0 + self.thickness(TURN, z), 0.5, 1.6)
        return np.asarray(np.maximum(self.wall_mm * level * waves * self.thinning.remains(z), 3.5))

    def outer_mm(self, z: float) -> float:
        """Mean distance of the epicardium from the centre."""
        return float((self.endocardium(z) + self.wall(z)).mean())

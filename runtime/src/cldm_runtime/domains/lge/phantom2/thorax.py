"""The body around the heart: chest wall, lung with vessels, spine and aorta. All surfaces are fixed in the body.

The chest is an elliptic cylinder about the axis of the body. At the apex it lies 2 to 22 mm beyond the epicardium, and
subcutaneous fat is 5 to 60 mm thick (measured on two public LGE cases).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field
from .plane import TO_APEX, Plane, length
from .tissue import BodyTissue

Tissues = NDArray[np.uint8]
_RIB_PITCH_MM = 31.0
_SKIN_MM = 2.0


@dataclass(frozen=True)
class Chest:
    """half_width_mm, half_depth_mm: of the inside; middle: (left, anterior) of its axis in the body. layers_mm: ribs
    with the muscles between them, outer muscles, subcutaneous fat. filled_mm: where lung would be thinner, fat lies."""

    half_width_mm: float
    half_depth_mm: float
    middle: tuple[float, float]
    layers_mm: tuple[float, float, float]
    rib_phase: float
    filled_mm: float

    @classmethod
    def draw(cls, stream: Stream, apex_mm: float) -> "Chest":
        """apex_mm: from the middle of the ventricle to the outside of its apex."""
        gap, width, depth = stream.uniform(2.0, 22.0), stream.uniform(122.0, 148.0), stream.uniform(80.0, 102.0)
        left, anterior = TO_APEX[:2] * (apex_mm + gap)
        axis = stream.normal(-45.0, 8.0)
        # The anterior wall of the cylinder passes through the point that lies `gap` beyond the apex.
        height = depth * np.sqrt(1.0 - min(0.9, ((left - axis) / width) ** 2))
        fat = float(np.clip(13.0 * np.exp(stream.normal(0.0, 0.6)), 5.0, 60.0))
        return cls(width, depth, (axis, float(anterior - height)),
                   (stream.uniform(8.0, 13.0), stream.uniform(3.0, 14.0), fat), stream.uniform(0.0, 1.0),
                   stream.uniform(2.0, 13.0))

    def beyond(self, plane: Plane, coarse: Field) -> Field:
        """(N, N) distance from the inside of the chest wall, positive in the wall."""
        left, anterior = plane.left - self.middle[0], plane.anterior - self.middle[1]
        level = length(left / self.half_width_mm, anterior / self.half_depth_mm)
        slope = length(left / self.half_width_mm**2, anterior / self.half_depth_mm**2) / np.maximum(level, 1e-6)
        return np.asarray((level - 1.0) / np.maximum(slope, 1e-3) + 1.2 * coarse)

    def paint(self, tissue: Tissues, plane: Plane, beyond: Field, medium: Field) -> None:
        ribs, outer, fat = self.layers_mm
        tissue[beyond > 0] = BodyTissue.MUSCLE
        along = (plane.superior + 0.45 * plane.anterior + 0.2 * plane.left) / _RIB_PITCH_MM + self.rib_phase
        rib = (np.cos(2 * np.pi * along) > 0.15) & (np.abs(beyond - ribs / 2) < ribs / 2 - 1.5)
        sternum = (np.abs(plane.left - self.middle[0]) < 16.0) & (plane.anterior > self.middle[1])
        tissue[rib | (sternum & (beyond > 1.5) & (beyond < ribs))] = BodyTissue.BONE
        seam = np.abs(beyond - ribs - 1.2) < 0.9 + 0.5 * medium
        inner_fat = (beyond > 0) & (beyond < 1.4 + 0.8 * medium)
        tissue[seam | inner_fat | (beyond > ribs + outer + 1.5 * medium)] = BodyTissue.SUBCUTANEOUS_FAT
        strand = (np.abs(medium) < 0.06) & (beyond > ribs + outer)
        tissue[strand | (beyond > ribs + outer + fat)] = BodyTissue.MUSCLE  # septa of the fat; skin
        tissue[beyond > ribs + outer + fat + _SKIN_MM] = BodyTissue.AIR


@dataclass(frozen=True)
class Mediastinum:
    """Aorta, spine and the density of lung vessels. Places are (left, anterior) in the body, in mm."""

    aorta: tuple[float, float]
    aorta_mm: float
    spine: tuple[float, float]
    vessels: float

    @classmethod
    def draw(cls, stream: Stream, chest: Chest) -> "Mediastinum":
        left, anterior = chest.middle
        spine = (left + stream.normal(0.0, 3.0), anterior - 0.62 * chest.half_depth_mm)
        return cls((spine[0] + stream.uniform(18.0, 30.0), spine[1] + stream.uniform(12.0, 26.0)),
                   stream.uniform(9.5, 13.5), spine, stream.uniform(0.08, 0.2))

    def paint_lung(self, tissue: Tissues, coarse: Field, medium: Field, fine: Field) -> None:
        """Lung everywhere, its vessels as thin branches and dots."""
        tissue[:] = BodyTissue.LUNG
        branches = (np.abs(coarse) < 0.4 * self.vessels) & (medium > -0.3)
        twigs = (np.abs(medium) < self.vessels) & (coarse > 0.5) & (fine > 0.0)
        tissue[branches | twigs | (fine > 2.3)] = BodyTissue.VESSEL

    def paint(self, tissue: Tissues, plane: Plane) -> None:
        left, anterior = plane.left - self.spine[0], plane.anterior - self.spine[1]
        around = length(left / 38.0, (anterior + 12.0) / 34.0)
        tissue[around < 1.0] = BodyTissue.MUSCLE
        tissue[length(left, anterior) < 21.0] = BodyTissue.BONE
        aorta = length(plane.left - self.aorta[0], plane.anterior - self.aorta[1]) - self.aorta_mm
        tissue[aorta < 3.5] = BodyTissue.PERICARDIAL_FAT
        tissue[aorta < 1.3] = BodyTissue.VESSEL_WALL
        tissue[aorta < 0.0] = BodyTissue.VESSEL

"""Below the diaphragm: liver, stomach with gas or folds, spleen and fat. The heart rests on the diaphragm.

The stomach touches the inferior wall in many patients, filled with gas or folded; liver and spleen lie beside it (as
read on two public LGE cases).
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from ....noise import Stream
from ..ventricle import Field
from .chamber import Chamber
from .plane import TO_ANTERIOR, TO_APEX, Placement, Plane
from .tissue import BodyTissue

Tissues = NDArray[np.uint8]
_DOME_MM = 35.0  # width of the left dome


class Filling(IntEnum):
    """What a stomach holds."""

    GAS = 0
    FOLDS = 1
    FOOD = 2


@dataclass(frozen=True)
class Diaphragm:
    """height = level + left * tilt[0] + anterior * tilt[1] - bend * (distance from the middle)^2 + the left dome. dome:
    its height and its place (left, anterior). All in mm."""

    level_mm: float
    tilt: tuple[float, float]
    bend: float
    dome: tuple[float, float, float]
    thickness_mm: float

    @classmethod
    def draw(cls, stream: Stream, place: Placement, chamber: Chamber) -> "Diaphragm":
        """A surface that the heart touches, or nearly touches, near the apex and in the middle."""
        near_apex, near_base = (TO_APEX * place.towards_apex_mm(z) - TO_ANTERIOR * (chamber.outer_mm(z) + 4.0)
                                for z in (0.15, 0.7))
        step = near_apex[:2] - near_base[:2]
        fall = (near_apex[2] - near_base[2]) / float(step @ step) * step
        across = np.array([-step[1], step[0]]) / np.linalg.norm(step) * stream.normal(0.0, 0.15)
        tilt = fall + across
        gap = stream.uniform(-2.0, 7.0)
        level = float(near_base[2] - near_base[:2] @ tilt) - gap
        dome = (stream.uniform(0.0, 26.0), stream.normal(55.0, 10.0), stream.normal(-25.0, 15.0))
        bend, thickness = stream.uniform(0.0005, 0.003), stream.uniform(1.8, 4.0)
        return cls(level, (float(tilt[0]), float(tilt[1])), bend, dome, thickness)

    def below(self, plane: Plane, coarse: Field) -> Field:
        """(N, N) depth below the diaphragm in mm, negative above it."""
        height = self.level_mm + self.tilt[0] * plane.left + self.tilt[1] * plane.anterior
        away = np.minimum(plane.left**2 + plane.anterior**2, 80.0**2)
        rise, left, anterior = self.dome
        near = (plane.left - left) ** 2 + (plane.anterior - anterior) ** 2
        height += rise * np.exp(-near / (2 * _DOME_MM**2)) - self.bend * away
        return np.asarray(height - plane.superior + 1.5 * coarse)


@dataclass(frozen=True)
class Abdomen:
    """middle, half_mm: (left, anterior, depth below the diaphragm) of the stomach. liver_edge_mm: how far left the
    liver reaches; the spleen lies `spleen_mm` further left."""

    diaphragm: Diaphragm
    filling: Filling
    middle: tuple[float, float, float]
    half_mm: tuple[float, float, float]
    wall_mm: float
    liver_edge_mm: float
    spleen_mm: float

    @classmethod
    def draw(cls, stream: Stream, diaphragm: Diaphragm) -> "Abdomen":
        edge = stream.normal(10.0, 24.0)
        filling = Filling(stream.choice(np.array([0.45, 0.35, 0.2])))
        size = 1.0 if filling != Filling.FOLDS else 0.75
        half = (size * stream.uniform(40.0, 60.0), size * stream.uniform(45.0, 70.0), size * stream.uniform(28.0, 45.0))
        left, anterior, touching = stream.uniform(0.6, 0.9), stream.uniform(-45.0, 15.0), stream.uniform(-6.0, 3.0)
        middle = (edge + half[0] * left, anterior, half[2] + touching)
        return cls(diaphragm, filling, middle, half, stream.uniform(2.5, 5.0), edge, stream.uniform(38.0, 68.0))

    def paint(self, tissue: Tissues, plane: Plane, below: Field, coarse: Field, medium: Field) -> None:
        tissue[below > -self.diaphragm.thickness_mm] = BodyTissue.MUSCLE
        inside = below > 0
        tissue[inside] = BodyTissue.VISCERAL_FAT
        tissue[inside & (np.abs(medium) < 0.16)] = BodyTissue.MUSCLE  # vessels and folds of the omentum
        spleen = plane.left > self.liver_edge_mm + self.spleen_mm + 5.0 * coarse + 0.5 * plane.anterior
        tissue[inside & spleen & (below > 1.5)] = BodyTissue.SPLEEN
        liver = plane.left < self.liver_edge_mm + 4.0 * coarse - 0.4 * below
        tissue[inside & liver] = BodyTissue.LIVER
        tissue[inside & liver & (below > 8.0) & (np.abs(medium) < 0.09) & (coarse > 0.5)] = BodyTissue.VESSEL
        self._paint_stomach(tissue, plane, below, coarse, medium)

    def _paint_stomach(self, tissue: Tissues, plane: Plane, below: Field, coarse: Field, medium: Field) -> None:
        places = (plane.left, plane.anterior, below)
        level = np.sqrt(sum(((place - middle) / half) ** 2
                            for place, middle, half in zip(places, self.middle, self.half_mm, strict=True)))
        depth = (1.0 - level) * float(np.mean(self.half_mm)) + 2.0 * coarse
        stomach = (depth > 0) & (below > 0)
        hollow = stomach & (depth > self.wall_mm)
        tissue[stomach] = BodyTissue.STOMACH_WALL
        if self.filling == Filling.GAS:
            # The patient lies on the back: gas rises to the front, fluid stays behind.
            fluid = plane.anterior < self.middle[1] - 0.5 * self.half_mm[1]
            tissue[hollow] = np.where(fluid[hollow], BodyTissue.STOMACH_CONTENT, BodyTissue.GAS)
        elif self.filling == Filling.FOLDS:
            tissue[hollow & (np.abs(medium) < 0.55)] = BodyTissue.STOMACH_CONTENT
            tissue[hollow & (medium > 1.2)] = BodyTissue.GAS
        else:
            tissue[hollow] = BodyTissue.STOMACH_CONTENT

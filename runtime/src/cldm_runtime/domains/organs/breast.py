"""Two breasts of a prone patient: fat and glands with thin vessels and masses in front of a muscle and the chest.

Sizes and densities are chosen. Lungs, heart and ribs are unlabelled parts of the chest; a rerendering draws
them anew.
"""

from dataclasses import dataclass

import numpy as np

from ...noise import Stream
from ..phantom_parts import smooth_union
from .masses import Mass, draw_masses
from .shapes import Bending, Ellipsoid, Points, Swell
from .tissue import Matter, Paper
from .vessels import Branching, Tubes, grow

LABELS = {"breast": 1, "gland": 2, "vessel": 3, "tumour": 4, "muscle": 5, "chest": 6}
TISSUE_LABELS = {Matter.SKIN: "breast", Matter.FAT: "breast", Matter.GLAND: "gland", Matter.BLOOD: "vessel",
                 Matter.TUMOUR: "tumour", Matter.NECROSIS: "tumour", Matter.MUSCLE: "muscle", Matter.INNER_FAT: "chest",
                 Matter.LUNG: "chest", Matter.HEART: "chest", Matter.COMPACT_BONE: "chest", Matter.MARROW: "chest"}
LEVELS_MM = (-54.0, 54.0)
_SKIN_MM, _WALL_Y_MM = 2.2, 38.0  # y of the chest wall in the middle
_TREE = Branching(19.0, 0.8, 1.05)


@dataclass(frozen=True)
class Breast:
    """glandular: where glands may lie; density: the share of it that they fill, as a level of the waves."""

    outline: Ellipsoid
    nipple: Ellipsoid
    glandular: Ellipsoid
    density: float
    lobes: tuple[Swell, Swell]
    vessels: Tubes

    @classmethod
    def draw(cls, stream: Stream, side: float, half: tuple[float, float, float], density: float) -> "Breast":
        wide, deep, high = (size * stream.uniform(0.94, 1.06) for size in half)
        x, z = side * stream.uniform(70.0, 80.0), stream.normal(0.0, 5.0)
        outline = Ellipsoid((x, _WALL_Y_MM + 4.0, z), (wide, deep + 4.0, high))
        tip = _WALL_Y_MM - deep
        glands = Ellipsoid((x + side * 4.0, _WALL_Y_MM - 0.52 * deep, z), (0.74 * wide, 0.5 * deep, 0.74 * high))
        vessels = _mammary(stream, (x, z), (wide, high))
        return cls(outline, Ellipsoid((x, tip, z), (6.5, 7.5, 7.5)), glands, density + stream.normal(0.0, 0.1),
                   (Swell.draw(stream, 30.0, 9), Swell.draw(stream, 11.0, 12)), vessels)

    def paint(self, canvas: Paper, at: Points) -> None:
        depth = smooth_union(self.outline(at), self.nipple(at), 6.0)
        canvas.paint(depth, Matter.SKIN)
        canvas.paint(depth - _SKIN_MM, Matter.FAT)
        large, small = (wave(at) for wave in self.lobes)
        inside = np.minimum(self.glandular(at), depth - 6.0)
        lobes = 6.0 * (large + 0.45 * small + self.density + np.minimum(inside, 18.0) / 14.0 - 0.6)
        canvas.paint(np.minimum(lobes, inside + 2.0 * small), Matter.GLAND)
        canvas.paint(np.minimum(self.vessels(at), depth - 3.5), Matter.BLOOD)


def _mammary(stream: Stream, middle: tuple[float, float], half: tuple[float, float]) -> Tubes:
    """Trees that enter at three heights on the inner and the outer side, and run to the front."""
    (x, z), (wide, high) = middle, half
    trees = Tubes(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros((0, 2)))
    for height in (-0.5, 0.0, 0.5):
        for inwards in (-1.0, 1.0):
            root = (x + inwards * wide * stream.uniform(0.5, 0.8), _WALL_Y_MM - stream.uniform(4.0, 16.0),
                    z + high * (height + stream.uniform(-0.15, 0.15)))
            heading = (-inwards * stream.uniform(0.0, 0.4), -1.0, stream.normal(0.0, 0.4))
            trees += grow(stream, root, heading, stream.uniform(1.6, 2.6), _TREE)
    return trees


@dataclass(frozen=True)
class Trunk:
    """chest: outline of the ribs; the muscle lies before it, fat before that."""

    chest: Ellipsoid
    muscle_mm: float
    fat_mm: float

    @classmethod
    def draw(cls, stream: Stream) -> "Trunk":
        half = stream.uniform(138.0, 158.0), stream.uniform(88.0, 106.0)
        muscle, fat = stream.uniform(7.0, 13.0), stream.uniform(5.0, 13.0)
        return cls(Ellipsoid((0.0, _WALL_Y_MM + 12.0 + half[1], 0.0), (*half, 1e6), power=2.3), muscle, fat)

    def paint_fat(self, canvas: Paper, at: Points) -> None:
        depth = self.chest(at) + self.muscle_mm + self.fat_mm
        canvas.paint(depth, Matter.SKIN, Matter.INNER_FAT)
        canvas.paint(depth - _SKIN_MM, Matter.INNER_FAT)

    def paint_muscle(self, canvas: Paper, at: Points) -> None:
        """Two muscles that thin out towards the breastbone and the side."""
        chest = self.chest(at)
        side = np.abs(at.x)
        thick = self.muscle_mm * np.clip((side - 8.0) / 22.0, 0.0, 1.0) * np.clip((150.0 - side) / 50.0, 0.25, 1.0)
        canvas.paint(np.minimum(chest + thick, np.where(at.y < _WALL_Y_MM + 85.0, 10.0, -10.0)), Matter.MUSCLE)
        canvas.paint(chest, Matter.INNER_FAT)


@dataclass(frozen=True)
class Breasts:
    """A patient's labelled anatomy."""

    trunk: Trunk
    breasts: tuple[Breast, Breast]
    masses: tuple[Mass, ...]
    bending: Bending

    def with_surroundings(self, stream: Stream) -> "WholeChest":
        return WholeChest(self, BehindBreast.draw(stream))

    def paint(self, canvas: Paper, at: Points) -> None:
        bent = self.bending(at)
        self.trunk.paint_fat(canvas, bent)
        for breast in self.breasts:
            breast.paint(canvas, bent)
        room = np.maximum(*(breast.outline(bent) for breast in self.breasts)) - 5.0
        for mass in self.masses:
            mass.paint(canvas, bent, room)
        self.trunk.paint_muscle(canvas, bent)


@dataclass(frozen=True)
class BehindBreast:
    """Lungs, heart, breastbone and ribs, as shares of the chest."""

    wall_mm: float
    heart: Ellipsoid
    middle_mm: float
    rib_phase: float
    slope: float

    @classmethod
    def draw(cls, stream: Stream) -> "BehindBreast":
        heart = Ellipsoid((stream.normal(28.0, 6.0), _WALL_Y_MM + stream.uniform(66.0, 78.0), -30.0),
                          (stream.uniform(44.0, 56.0), stream.uniform(36.0, 46.0), stream.uniform(62.0, 84.0)), 0.5)
        return cls(stream.uniform(9.0, 13.0), heart, stream.uniform(20.0, 34.0), stream.uniform(),
                   stream.uniform(0.35, 0.6))

    def paint(self, canvas: Paper, at: Points, chest: Ellipsoid) -> None:
        inside = chest(at)
        course = (at.level + self.slope * np.abs(at.x)) / 28.0 + self.rib_phase
        rib = np.minimum(6.0 - np.abs(course - np.round(course)) * 28.0, 4.0 - np.abs(inside - 0.5 * self.wall_mm))
        canvas.paint(np.minimum(rib, np.abs(at.x) - 18.0), Matter.COMPACT_BONE)
        canvas.paint(np.minimum(rib, np.abs(at.x) - 18.0) - 1.8, Matter.MARROW)
        breastbone = Ellipsoid((0.0, chest.centre[1] - chest.half[1] + 8.0, 0.0), (17.0, 6.5, 1e6), power=2.4)(at)
        canvas.paint(breastbone, Matter.COMPACT_BONE)
        canvas.paint(breastbone - 1.6, Matter.MARROW)
        lung = np.minimum(inside - self.wall_mm, np.abs(at.x) - self.middle_mm * np.clip(at.y / 120.0, 0.3, 1.0))
        canvas.paint(lung, Matter.LUNG)
        heart = np.minimum(self.heart(at), inside - self.wall_mm)
        canvas.paint(heart, Matter.INNER_FAT)
        canvas.paint(heart - 3.0, Matter.HEART)


@dataclass(frozen=True)
class WholeChest:
    """Paints breasts with what lies in the chest."""

    breasts: Breasts
    chest: BehindBreast

    def __call__(self, canvas: Paper, at: Points) -> None:
        self.breasts.paint(canvas, at)
        self.chest.paint(canvas, self.breasts.bending(at), self.breasts.trunk.chest)


def draw_breasts(stream: Stream) -> Breasts:
    trunk = Trunk.draw(stream)
    half = (stream.uniform(54.0, 70.0), stream.uniform(58.0, 112.0), stream.uniform(62.0, 78.0))
    density = stream.uniform(-0.9, 0.7)
    pair = (Breast.draw(stream, -1.0, half, density), Breast.draw(stream, 1.0, half, density))
    masses = draw_masses(stream, [(breast.glandular, 1.0) for breast in pair], (0.3, 0.5, 0.15, 0.05), (3.5, 18.0))
    return Breasts(trunk, pair, masses, Bending.draw(stream, (3.5, 0.8)))

"""An abdomen: what its labels show. Body, spine and ribs, liver with its vessels, spleen, two kidneys, great vessels
and tumours, each drawn for a patient.

Sizes are chosen so that adults come out: bodies 27 to 37 cm wide and 20 to 27 cm deep, kidneys 10 to 12 cm long, aortas
16 to 26 mm wide.
"""

from dataclasses import dataclass

import numpy as np

from ...noise import Stream
from ..phantom_parts import smooth_union
from .masses import Mass, draw_masses
from .shapes import Bending, Ellipsoid, Field, Points, Swell
from .tissue import Matter, Paper
from .vessels import Branching, Tubes, grow

LABELS = {"body": 1, "liver": 2, "spleen": 3, "kidney": 4, "bone": 5, "vessel": 6, "tumour": 7}
_ORGANS = {Matter.LIVER: "liver", Matter.SPLEEN: "spleen", Matter.CORTEX: "kidney", Matter.MEDULLA: "kidney",
           Matter.MARROW: "bone", Matter.COMPACT_BONE: "bone", Matter.BLOOD: "vessel", Matter.TUMOUR: "tumour",
           Matter.NECROSIS: "tumour"}
_UNLABELLED = (Matter.AIR, Matter.TABLE)
TISSUE_LABELS = {tissue: _ORGANS.get(tissue, "body") for tissue in Matter if tissue not in _UNLABELLED}
LEVELS_MM = (-84.0, 72.0)  # of the lowest and the highest slice, about the middle of the liver
_SKIN_MM, _RIB_PITCH_MM = 2.0, 30.0
_PORTAL, _HEPATIC = Branching(9.0, 0.9, 1.1), Branching(10.0, 0.8, 1.2)


@dataclass(frozen=True)
class Torso:
    """body: outline of the skin. cavity: of the peritoneum. wall_mm: muscle between fat and cavity."""

    body: Ellipsoid
    cavity: Ellipsoid
    dome: Ellipsoid
    wall_mm: float
    fat_mm: float
    rib_phase: float

    @classmethod
    def draw(cls, stream: Stream) -> "Torso":
        half = stream.uniform(112.0, 134.0), stream.uniform(78.0, 94.0)
        wall, fat = stream.uniform(9.0, 14.0), 6.0 + 26.0 * stream.uniform() ** 1.5
        power = stream.uniform(2.1, 2.6)
        around = half[0] + wall + fat, half[1] + wall + 0.8 * fat
        body = Ellipsoid((0.0, 0.0, 0.0), (*around, 1e6), power=power)
        cavity = Ellipsoid((0.0, -0.1 * fat, 0.0), (*half, 1e6), power=power)
        dome = Ellipsoid((0.0, -8.0, -60.0), (half[0] * 1.08, half[1] * 1.12, stream.uniform(160.0, 190.0)))
        return cls(body, cavity, dome, wall, fat, stream.uniform())

    def paint(self, canvas: Paper, at: Points) -> None:
        """Skin, fat, the muscular wall and the fat within it."""
        depth = self.body(at)
        canvas.paint(depth, Matter.SKIN)
        canvas.paint(depth - _SKIN_MM, Matter.FAT)
        inner = self.cavity(at)
        canvas.paint(inner + self.wall_mm, Matter.MUSCLE)
        canvas.paint(inner + 0.45 * self.wall_mm, Matter.INNER_FAT)
        canvas.paint(inner + 0.3 * self.wall_mm, Matter.MUSCLE)
        canvas.paint(inner, Matter.INNER_FAT)

    def paint_ribs(self, canvas: Paper, at: Points) -> None:
        """Bone within the wall, where the ribs, which fall to the front, cross the plane; none in front and below."""
        angle = np.arctan2(np.abs(at.x), at.y)  # 0 at the back, pi in front
        course = (at.level + 42.0 * angle) / _RIB_PITCH_MM + self.rib_phase
        along = (np.abs(course - np.round(course)) * _RIB_PITCH_MM - 4.5) * -1.5
        shown = np.minimum(along, (at.level + 75.0 - 38.0 * np.maximum(angle - 1.0, 0.0)) * 0.3)
        shown = np.minimum(shown, np.where(angle < 2.35, 10.0, -10.0))
        across = 4.0 - np.abs(self.cavity(at) + 0.62 * self.wall_mm)
        canvas.paint(np.minimum(across, shown), Matter.COMPACT_BONE)
        canvas.paint(np.minimum(across, shown) - 1.6, Matter.MARROW)

    def below_lungs(self, at: Points) -> Field:
        """Depth below the diaphragm and inside the wall."""
        return np.asarray(np.minimum(self.dome(at), self.cavity(at)))


@dataclass(frozen=True)
class Spine:
    """y_mm: of the middle of the vertebral bodies. half: of a body."""

    y_mm: float
    half: tuple[float, float]
    disc_phase: float

    @classmethod
    def draw(cls, stream: Stream, trunk: Torso) -> "Spine":
        half = stream.uniform(20.0, 25.0), stream.uniform(15.0, 18.5)
        return cls(trunk.cavity.half[1] - half[1] - stream.uniform(18.0, 26.0), half, stream.uniform())

    def paint(self, canvas: Paper, at: Points, room: Field) -> None:
        """Muscles of the back, then a vertebra or a disc, its arch and canal. room: depth below the fat of the back."""
        y, (wide, deep) = self.y_mm, self.half
        for side in (-1.0, 1.0):
            back = Ellipsoid((side * 34.0, y + deep + 24.0, 0.0), (31.0, 23.0, 1e6), power=2.6)
            canvas.paint(np.minimum(back(at), room), Matter.MUSCLE)
            psoas = 10.0 - 0.09 * at.level
            spread = np.hypot((at.x - side * (wide + 0.9 * psoas)) / psoas, (at.y - y) / (1.2 * psoas))
            canvas.paint((1.0 - spread) * psoas, Matter.MUSCLE)
            arm = Ellipsoid((side * (wide + 4.0), y + deep + 8.0, 0.0), (15.0, 4.5, 1e6), side * 0.35)(at)
            canvas.paint(arm, Matter.COMPACT_BONE)
            canvas.paint(arm - 1.8, Matter.MARROW)
        spinous = smooth_union(Ellipsoid((0.0, y + deep + 26.0, 0.0), (4.5, 15.0, 1e6))(at),
                         Ellipsoid((0.0, y + deep + 9.0, 0.0), (17.0, 12.0, 1e6))(at), 4.0)
        spinous = np.minimum(spinous, room)
        canvas.paint(spinous, Matter.COMPACT_BONE)
        canvas.paint(spinous - 2.0, Matter.MARROW)
        body = Ellipsoid((0.0, y, 0.0), (wide, deep, 1e6), power=2.4)(at)
        level = (at.level / 34.0 + self.disc_phase) % 1.0
        bone = level < 0.76
        canvas.paint(body, Matter.COMPACT_BONE if bone else Matter.DISC)
        canvas.paint(body - (1.8 if bone else 3.0), Matter.MARROW if bone else Matter.DISC)
        canal = Ellipsoid((0.0, y + deep + 8.5, 0.0), (10.5, 8.0, 1e6))(at)
        canvas.paint(canal, Matter.INNER_FAT)
        canvas.paint(canal - 1.5, Matter.FLUID)


@dataclass(frozen=True)
class Kidney:
    """side: -1 the right one. The sinus opens towards the spine."""

    outer: Ellipsoid
    sinus: Ellipsoid
    bed: Ellipsoid  # of fat, which keeps the liver away
    pyramids: Swell

    @classmethod
    def draw(cls, stream: Stream, spine: Spine, side: float, z: float) -> "Kidney":
        half = (stream.uniform(25.0, 31.0), stream.uniform(21.0, 26.0), stream.uniform(49.0, 60.0))
        x, y = side * (spine.half[0] + half[0] + stream.uniform(12.0, 22.0)), spine.y_mm - stream.uniform(-14.0, 4.0)
        turn = side * stream.uniform(0.4, 0.9)
        inwards = x - side * 0.62 * half[0] * np.cos(turn), y - 0.62 * half[0] * abs(np.sin(turn))
        sinus = Ellipsoid((*inwards, z), (0.62 * half[0], 0.42 * half[1], 0.52 * half[2]), turn)
        bed = Ellipsoid((1.1 * x, y + 16.0, z + 2.0), (half[0] + 18.0, half[1] + 24.0, half[2] + 8.0))
        return cls(Ellipsoid((x, y, z), half, turn), sinus, bed, Swell.draw(stream, 17.0, 5))

    def paint(self, canvas: Paper, at: Points) -> None:
        outer, sinus = self.outer(at), self.sinus(at)
        canvas.paint(np.minimum(outer, -sinus), Matter.CORTEX)
        pyramids = np.minimum(np.minimum(outer - 6.5, -sinus - 0.5), 3.0 * (self.pyramids(at) + 0.4))
        canvas.paint(pyramids, Matter.MEDULLA)


@dataclass(frozen=True)
class Liver:
    lobes: tuple[Ellipsoid, Ellipsoid, Ellipsoid]
    vessels: Tubes

    @classmethod
    def draw(cls, stream: Stream, trunk: Torso) -> "Liver":
        wide, deep = trunk.cavity.half[:2]
        size = stream.uniform(0.92, 1.1)
        right = Ellipsoid((-0.5 * wide, 0.02 * deep, 16.0), (0.5 * wide * size, 0.8 * deep * size, 90.0 * size), -0.25,
                          2.3)
        left = Ellipsoid((stream.uniform(-8.0, 12.0), -0.5 * deep, stream.uniform(34.0, 46.0)),
                         (stream.uniform(52.0, 78.0), 0.4 * deep, stream.uniform(44.0, 56.0)), -0.2)
        caudate = Ellipsoid((-14.0, 4.0, 28.0), (20.0, 17.0, 30.0))
        hilum = (-24.0, -0.08 * deep, 2.0)
        portal = grow(stream, hilum, (-0.85, -0.2, 0.5), stream.uniform(6.0, 7.5), _PORTAL)
        portal += grow(stream, (-22.0, -0.14 * deep, 6.0), (0.4, -0.7, 0.6), stream.uniform(4.0, 5.0), _PORTAL)
        vein = (-22.0, 0.25 * deep, 66.0)
        for heading in ((-0.9, 0.1, -0.5), (-0.6, -0.7, -0.5), (0.35, -0.9, -0.35)):
            portal += grow(stream, vein, heading, stream.uniform(3.5, 5.0), _HEPATIC)
        return cls((right, left, caudate), portal)

    def __call__(self, at: Points) -> Field:
        right, left, caudate = (lobe(at) for lobe in self.lobes)
        return smooth_union(smooth_union(right, left, 22.0), caudate, 8.0)


@dataclass(frozen=True)
class Belly:
    """A patient's labelled anatomy."""

    trunk: Torso
    spine: Spine
    liver: Liver
    spleen: tuple[Ellipsoid, Ellipsoid]
    kidneys: tuple[Kidney, Kidney]
    trunks: Tubes  # of the great vessels
    masses: tuple[Mass, ...]
    bending: Bending
    outline: Bending

    @classmethod
    def draw(cls, stream: Stream) -> "Belly":
        trunk = Torso.draw(stream)
        spine = Spine.draw(stream, trunk)
        liver = Liver.draw(stream, trunk)
        kidneys = (Kidney.draw(stream, spine, -1.0, stream.normal(-44.0, 10.0)),
                   Kidney.draw(stream, spine, 1.0, stream.normal(-32.0, 10.0)))
        hosts = [(liver.lobes[0], 3.0), (liver.lobes[1], 1.2), (kidneys[0].outer, 0.4), (kidneys[1].outer, 0.4)]
        return cls(trunk, spine, liver, _spleen(stream, trunk), kidneys, _great_vessels(stream, spine, kidneys, liver),
                   draw_masses(stream, hosts, (0.25, 0.3, 0.2, 0.15, 0.1), (4.0, 26.0)),
                   Bending.draw(stream, (5.0, 1.6)), Bending.draw(stream, (3.0, 0.8)))

    def paint_around(self, canvas: Paper, at: Points) -> None:
        """What lies behind everything else: the body and its lungs."""
        outer = self.outline(at)
        self.trunk.paint(canvas, outer)
        canvas.paint(np.minimum(self.trunk.cavity(outer), -self.trunk.dome(outer)), Matter.LUNG)

    def paint_organs(self, canvas: Paper, at: Points) -> None:
        """All that has a label of its own."""
        outer, inner = self.outline(at), self.bending(at)
        self.trunk.paint_ribs(canvas, outer)
        self.spine.paint(canvas, outer, self.trunk.body(outer) - 4.0 - 0.4 * self.trunk.fat_mm)
        room = self.trunk.below_lungs(outer) - 2.5
        canvas.paint(self.trunks(inner), Matter.BLOOD)
        for kidney in self.kidneys:
            kidney.paint(canvas, inner)
        body, dent = (shape(inner) for shape in self.spleen)
        canvas.paint(np.minimum(np.minimum(body, -dent), room), Matter.SPLEEN)
        liver = np.minimum(np.minimum(self.liver(inner), room), -self.kidneys[0].bed(inner))
        canvas.paint(liver, Matter.LIVER)
        canvas.paint(np.minimum(self.liver.vessels(inner), liver - 3.0), Matter.BLOOD)
        hosts = np.maximum(liver, np.maximum(*(kidney.outer(inner) for kidney in self.kidneys)) + 4.0)
        for mass in self.masses:
            mass.paint(canvas, inner, hosts)


def _spleen(stream: Stream, trunk: Torso) -> tuple[Ellipsoid, Ellipsoid]:
    """Its body and what dents it from within."""
    wide, deep = trunk.cavity.half[:2]
    size = stream.uniform(0.85, 1.2)
    x, y, z = 0.7 * wide, 0.36 * deep, stream.normal(30.0, 7.0)
    body = Ellipsoid((x, y, z), (27.0 * size, 46.0 * size, 46.0 * size), 0.45)
    return body, Ellipsoid((x - 31.0 * size, y - 16.0, z - 6.0), (24.0 * size, 40.0 * size, 60.0), 0.45)


def _great_vessels(stream: Stream, spine: Spine, kidneys: tuple[Kidney, Kidney], liver: Liver) -> Tubes:
    """Aorta, vena cava, the vessels of both kidneys, the portal vein and that of the spleen."""
    aorta, cava = stream.uniform(8.0, 11.5), stream.uniform(9.0, 12.5)
    front = spine.y_mm - spine.half[1]
    x = stream.uniform(4.0, 12.0)
    tubes = Tubes.through([(x, front - aorta - 2.0, -130.0), (x + 2.0, front - aorta - 3.0, 0.0),
                           (x + 4.0, front - aorta + 2.0, 130.0)], [0.85 * aorta, aorta, 1.1 * aorta])
    tubes += Tubes.through([(-20.0, front - 7.0, -130.0), (-22.0, front - 10.0, 20.0), (-22.0, front - 24.0, 130.0)],
                           [cava, cava, cava])
    for kidney, start in zip(kidneys, (-18.0, x), strict=True):
        middle = kidney.sinus.centre
        halfway = (0.55 * middle[0], front - 4.0, middle[2] + 5.0)
        tubes += Tubes.through([(start, front - 10.0, middle[2] + 8.0), halfway, middle], [4.5, 4.0, 2.5])
    hilum = tuple(float(value) for value in liver.vessels.starts[0])
    tubes += Tubes.through([(4.0, front - 30.0, -18.0), (hilum[0], hilum[1], hilum[2])], [6.5, 6.5])
    tubes += Tubes.through([(4.0, front - 30.0, -18.0), (40.0, front - 24.0, 2.0), (72.0, front - 6.0, 16.0)],
                           [4.5, 4.0, 3.5])
    return tubes + Tubes.through([(6.0, front - 26.0, 10.0), (8.0, front - 44.0, -40.0), (4.0, front - 50.0, -120.0)],
                                 [3.5, 3.5, 2.5])

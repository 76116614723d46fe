"""What no label of an abdomen shows, and a rerendering draws anew: stomach, bowel, pancreas, gall bladder, mesentery
and the table. It lies behind the labelled organs."""

from dataclasses import dataclass

import numpy as np

from ...noise import Stream
from .abdomen import Belly
from .shapes import Bending, Ellipsoid, Field, Points, Swell
from .tissue import Matter, Paper
from .vessels import Tubes


@dataclass(frozen=True)
class Hollow:
    """A hollow organ. gas_mm: the gas lies in front of this level of y."""

    shape: Ellipsoid
    wall_mm: float
    filling: Matter
    gas_mm: float

    def paint(self, canvas: Paper, at: Points, room: Field) -> None:
        depth = np.minimum(self.shape(at), room)
        if not (depth > 0).any():
            return
        canvas.paint(depth, Matter.BOWEL_WALL)
        canvas.paint(depth - self.wall_mm, self.filling)
        canvas.paint(np.minimum(depth - self.wall_mm, self.gas_mm - at.y), Matter.GAS)


@dataclass(frozen=True)
class Bowel:
    """table: level of y and curvature of the table's top; None: it is not seen."""

    hollows: tuple[Hollow, ...]
    pancreas: Tubes
    gall_bladder: Ellipsoid
    mesentery: Swell
    bending: Bending
    table: tuple[float, float] | None

    @classmethod
    def draw(cls, stream: Stream, abdomen: Belly) -> "Bowel":
        wide, deep = abdomen.trunk.cavity.half[:2]
        hollows = [_stomach(stream, wide, deep), *_colon(stream, wide, deep), *_loops(stream, wide, deep)]
        front = abdomen.spine.y_mm - abdomen.spine.half[1]
        head = (-26.0 + stream.normal(0, 4.0), front - 26.0, stream.normal(-24.0, 8.0))
        neck = (6.0, front - 40.0, head[2] + 20.0)
        pancreas = Tubes.through([head, neck, (70.0 + stream.normal(0, 8.0), front - 4.0, neck[2] + 22.0)],
                                 [stream.uniform(11.0, 15.0), 8.0, 9.0])
        gall = Ellipsoid((-0.36 * wide, -0.5 * deep, stream.normal(-38.0, 8.0)), (15.0, 15.0, 27.0))
        return cls(tuple(hollows), pancreas, gall, Swell.draw(stream, 26.0, 8), Bending.draw(stream, (5.0, 2.5)),
                   (abdomen.trunk.body.half[1] - stream.uniform(2.0, 6.0), stream.uniform(0.0002, 0.0011)))

    def paint(self, canvas: Paper, at: Points, room: Field) -> None:
        """room: depth in the cavity below the lungs."""
        bent = self.bending(at)
        strands = 1.2 - 3.2 * np.abs(self.mesentery(bent)) - np.where(at.y < 30.0, 0.0, 5.0)
        canvas.paint(np.minimum(strands, room - 8.0), Matter.MUSCLE)
        canvas.paint(np.minimum(self.pancreas(bent), room), Matter.PANCREAS)
        for hollow in self.hollows:
            hollow.paint(canvas, bent, room - 1.0)
        gall = np.minimum(self.gall_bladder(bent), room)
        canvas.paint(gall, Matter.BOWEL_WALL)
        canvas.paint(gall - 1.5, Matter.FLUID)

    def paint_table(self, canvas: Paper, at: Points) -> None:
        """The table, before the body that lies on it."""
        if self.table:
            level, bend = self.table
            top = level - bend * at.x**2 + 1.0
            canvas.paint(np.minimum(4.0 - np.abs(at.y - top - 4.0), 215.0 - np.abs(at.x)) / 2.0, Matter.TABLE)


def _stomach(stream: Stream, wide: float, deep: float) -> Hollow:
    half = (stream.uniform(24.0, 40.0), stream.uniform(26.0, 44.0), stream.uniform(44.0, 66.0))
    centre = (stream.uniform(0.28, 0.46) * wide, -0.34 * deep, stream.normal(24.0, 8.0))
    filling = (Matter.CONTENT, Matter.FLUID, Matter.STOOL)[stream.choice(np.array([0.5, 0.3, 0.2]))]
    return Hollow(Ellipsoid(centre, half, -0.5), stream.uniform(3.0, 6.0), filling,
                  centre[1] - half[1] * stream.uniform(-0.2, 1.1))


def _colon(stream: Stream, wide: float, deep: float) -> list[Hollow]:
    """Ascending and descending, and a transverse loop in front."""
    parts = []
    for side, top in ((-1.0, -42.0), (1.0, -8.0)):
        radius, length = stream.uniform(15.0, 25.0), stream.uniform(70.0, 90.0)
        centre = (side * (wide - radius - 5.0), stream.uniform(0.0, 0.3) * deep, top - length)
        parts.append(Hollow(Ellipsoid(centre, (radius, radius * stream.uniform(0.9, 1.3), length), 0.0, 2.4), 2.2,
                            Matter.STOOL, centre[1] - radius * stream.uniform(-0.3, 1.4)))
    middle = (stream.normal(0.0, 15.0), -deep + 26.0, stream.normal(-38.0, 16.0))
    half = (stream.uniform(50.0, 85.0), stream.uniform(14.0, 20.0), stream.uniform(16.0, 24.0))
    parts.append(Hollow(Ellipsoid(middle, half, stream.normal(0.0, 0.12)), 2.2, Matter.STOOL,
                        middle[1] - half[1] * stream.uniform(-0.6, 0.9)))
    return parts


def _loops(stream: Stream, wide: float, deep: float) -> list[Hollow]:
    """The small bowel: bent tubes in front of the kidneys, below stomach and pancreas."""
    loops = []
    for _ in range(int(stream.uniform(16.0, 30.0))):
        radius = stream.uniform(9.0, 15.0)
        centre = (stream.uniform(-0.6, 0.8) * wide, stream.uniform(-0.8, 0.12) * deep, stream.uniform(-120.0, -6.0))
        half = (radius * stream.uniform(1.0, 2.6), radius, radius * stream.uniform(1.0, 2.4))
        filling = (Matter.CONTENT, Matter.BOWEL_WALL)[stream.choice(np.array([0.7, 0.3]))]
        loops.append(Hollow(Ellipsoid(centre, half, stream.uniform(0.0, 3.1)), 2.4, filling,
                            centre[1] - radius * stream.uniform(0.3, 3.0)))
    return loops


@dataclass(frozen=True)
class Loops:
    """An abdomen whose surroundings are not drawn yet."""

    abdomen: Belly

    def with_surroundings(self, stream: Stream) -> "WholeAbdomen":
        return WholeAbdomen(self.abdomen, Bowel.draw(stream, self.abdomen))


@dataclass(frozen=True)
class WholeAbdomen:
    """Paints an abdomen with its surroundings."""

    abdomen: Belly
    bowel: Bowel

    def __call__(self, canvas: Paper, at: Points) -> None:
        self.bowel.paint_table(canvas, at)
        self.abdomen.paint_around(canvas, at)
        self.bowel.paint(canvas, at, self.abdomen.trunk.below_lungs(self.abdomen.outline(at)))
        self.abdomen.paint_organs(canvas, at)


def draw_abdomen(stream: Stream) -> Loops:
    return Loops(Belly.draw(stream))

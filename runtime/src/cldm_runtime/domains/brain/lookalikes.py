"""What looks like a tumour and is none, and so has no label: bright bands beside the ventricles, bright spots of small
vessel disease, old infarcts, vessels, and remnants of the dura that take up the agent."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import Stream
from .head import BrainMap
from .space import Course, Place, RandomField, VoxelGrid, tube
from .tissue import BrainTissue


@dataclass(frozen=True)
class OldInfarct:
    """A cavity of liquor at the surface, with a bright rim."""

    centre: Place
    radius_mm: float
    rim_mm: float
    border: RandomField


@dataclass(frozen=True)
class Lookalikes:
    """band_mm: reach of the bright band beside the ventricles. spots: (centre, radius in mm) of bright spots. vessels:
    courses (z, y, x, radius). dura_mm: thickness of what skull-stripping left, where `dura` is high."""

    band_mm: float
    band: RandomField
    spots: tuple[tuple[Place, float], ...]
    infarcts: tuple[OldInfarct, ...]
    vessels: tuple[Course, ...]
    dura_mm: float
    dura: RandomField

    @classmethod
    def draw(cls, stream: Stream) -> "Lookalikes":
        disease = stream.uniform() ** 2
        spots = tuple((_in_white_matter(stream), 1.0 + 3.2 * stream.uniform() ** 2)
                      for _ in range(int(26 * disease * stream.uniform())))
        infarcts = tuple(OldInfarct(_at_surface(stream), stream.uniform(6.0, 15.0), stream.uniform(1.5, 4.5),
                                    RandomField.draw(stream, 16.0))
                         for _ in range(stream.choice(np.array([0.8, 0.16, 0.04]))))
        return cls(0.6 + 6.0 * disease * stream.uniform(0.5, 1.0), RandomField.draw(stream, 26.0), spots, infarcts,
                   tuple(_vessels(stream)), max(0.0, stream.normal(-0.3, 1.0)), RandomField.draw(stream, 34.0))

    def paint(self, grid: VoxelGrid, brain: BrainMap) -> NDArray[np.float32]:
        """Change the tissues; returns (Z, Y, X) the share of gliosis in each voxel."""
        share = np.zeros(grid.shape, np.float32)
        white = brain.tissue == BrainTissue.WHITE
        beside = self.band_mm * (1.0 + 0.6 * self.band.on(grid)) + brain.ventricles
        share[white] = 0.9 * np.clip(beside / 2.5 + 0.5, 0.0, 1.0)[white] * min(1.0, 0.35 + 0.2 * self.band_mm)
        for centre, radius in self.spots:
            self._add_ball(grid, centre, radius, share, white)
        for infarct in self.infarcts:
            _paint_infarct(grid, brain, infarct, share)
        for course in self.vessels:
            _paint_vessel(grid, brain, course)
        if self.dura_mm:
            rim = (brain.hull > 0) & (brain.hull < self.dura_mm * (0.6 + self.dura.on(grid)))
            brain.tissue[rim & (brain.tissue == BrainTissue.LIQUOR)] = BrainTissue.DURA
        return share

    @staticmethod
    def _add_ball(grid: VoxelGrid, centre: Place, radius: float, share: NDArray[np.float32], white: NDArray[np.bool_]
                  ) -> None:
        box = grid.box(centre, radius + 3.0)
        z, y, x = (axis - middle for axis, middle in zip(grid.part(box).coordinates, centre, strict=True))
        ball = np.clip((radius - np.sqrt(z * z + y * y + x * x)) / 1.5 + 0.5, 0.0, 1.0)
        share[box] = np.maximum(share[box], np.where(white[box], ball, 0.0))


def _paint_infarct(grid: VoxelGrid, brain: BrainMap, infarct: OldInfarct, share: NDArray[np.float32]) -> None:
    box = grid.box(infarct.centre, 1.6 * infarct.radius_mm + infarct.rim_mm)
    local, part = grid.part(box), brain.part(box)
    z, y, x = (axis - middle for axis, middle in zip(local.coordinates, infarct.centre, strict=True))
    depth = infarct.radius_mm * (1.0 + 0.25 * infarct.border.on(local)) - np.sqrt(z * z + y * y + x * x)
    here = np.isin(part.tissue, (BrainTissue.WHITE, BrainTissue.GREY)) & (part.hull > 1.6)
    rim = here & (depth > -infarct.rim_mm)
    share[box] = np.maximum(share[box], np.where(rim, np.clip(depth / infarct.rim_mm + 1.0, 0.0, 1.0), 0.0))
    part.tissue[here & (depth > 0)] = BrainTissue.LIQUOR
    share[box][here & (depth > 0)] = 0.0


def _paint_vessel(grid: VoxelGrid, brain: BrainMap, course: Course) -> None:
    middle = np.array(course)[:, :3].mean(axis=0)
    reach = float(np.abs(np.array(course)[:, :3] - middle).max()) + 4.0
    box = grid.box((float(middle[0]), float(middle[1]), float(middle[2])), reach)
    local, part = grid.part(box), brain.part(box)
    if 0 not in local.shape:
        inside = (tube(*local.coordinates, course) > 0) & (part.hull > 0)
        part.tissue[inside & (part.tissue != BrainTissue.OUTSIDE)] = BrainTissue.VESSEL


def _vessels(stream: Stream) -> list[Course]:
    """Middle cerebral arteries, the sagittal sinus, straight sinus, and veins that run over the surface inwards."""
    courses = list[Course]()
    for side in (-1.0, 1.0):
        wide = stream.uniform(0.9, 1.5)
        courses.append(((-18.0, -6.0, 4.0 * side, wide), (-14.0, -10.0, 24.0 * side, wide),
                        (-9.0, 2.0, 34.0 * side, 0.9 * wide), (-2.0, 22.0, 40.0 * side, 0.7 * wide)))
        courses.append(((-17.0, -8.0, 3.0 * side, 1.1), (-4.0, -40.0, 2.0 * side, 0.9), (22.0, -42.0, 2.0 * side, 0.8)))
    sinus = stream.uniform(1.2, 2.6)
    courses.append(tuple((61.0 * float(np.cos(angle)), 86.0 * float(np.sin(angle)), 0.0, sinus)
                         for angle in np.linspace(-1.0, 1.45, 9)))
    courses.append(((6.0, 40.0, 0.0, 1.6), (-6.0, 62.0, 0.0, 1.9), (-12.0, 80.0, 0.0, 2.0)))
    for _ in range(int(stream.uniform(6.0, 16.0))):
        z, y, x = _at_surface(stream)
        ends = stream.normals((2, 3)).astype(np.float64)
        inner = [float(part) for part in 0.86 * np.array([z, y, x]) + 3.0 * ends[0]]
        outer = [float(part) for part in 1.03 * np.array([z, y, x]) + 9.0 * ends[1]]
        wide = stream.uniform(0.5, 1.1)
        courses.append(((inner[0], inner[1], inner[2], 0.6 * wide), (z, y, x, wide),
                        (outer[0], outer[1], outer[2], wide)))
    return courses


def _at_surface(stream: Stream) -> Place:
    """A place on the upper hemispheres."""
    direction = stream.normals((3,)).astype(np.float64)
    z, y, x = (float(part) for part in direction / max(float(np.linalg.norm(direction)), 1e-6))
    return 59.0 * abs(z), 82.0 * y, 64.0 * x


def _in_white_matter(stream: Stream) -> Place:
    return (stream.uniform(4.0, 36.0), stream.uniform(-48.0, 52.0),
            stream.uniform(14.0, 40.0) * (1.0 if stream.uniform() < 0.5 else -1.0))

"""Tumours of the brain: a core of necrosis, solid and enhancing tissue, in an oedema that follows the white matter.

The labels are those of BraTS: 1 the core that does not enhance, 2 the oedema, 3 the enhancing tumour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ...noise import Stream
from .head import BrainMap
from .space import Place, RandomField, Volume3D, VoxelGrid
from .tissue import BrainTissue

NECROTIC_CORE, EDEMA, ENHANCING_TUMOUR = "necrotic_core", "edema", "enhancing_tumour"
LABELS = (NECROTIC_CORE, EDEMA, ENHANCING_TUMOUR)
_KINDS = ("ring", "solid", "low-grade", "diffuse")
_GREY_COSTS_MM = 7.0  # how much less far oedema reaches in grey matter


@dataclass(frozen=True)
class Load:
    """How many tumours a cohort's patients have, and how large they are.

    counts: weight of 0, 1, 2 ... tumours. radii_mm: of the core; the logarithm is uniform. kinds: weights of `_KINDS`.
    spread_mm: least and greatest reach of the oedema beyond the core. satellites: weight of 0, 1, 2 ... of a tumour.
    """

    counts: tuple[float, ...]
    radii_mm: tuple[float, float]
    kinds: tuple[float, float, float, float]
    spread_mm: tuple[float, float]
    satellites: tuple[float, ...]


@dataclass(frozen=True)
class Glioma:
    """One tumour. frame: (3, 3) turns and stretches the place about the centre, so that the core is no ball.
    rim_mm: thickness of the enhancing rim. nodular: how much of a core without a rim enhances, 0 to 1. spread_mm: reach
    of the oedema beyond the core; soft_mm: width of its border. pressure: how far it pushes, as a share of its radius.
    bleeding: share of the core that bled."""

    kind: str
    centre: Place
    radius_mm: float
    frame: NDArray[np.float32]
    lobes: tuple[RandomField, RandomField]
    lobed: float
    rim_mm: float
    rim: RandomField
    gaps: float
    nodular: float
    spread_mm: float
    soft_mm: float
    fingers: RandomField
    pressure: float
    bleeding: float

    @classmethod
    def draw(cls, stream: Stream, load: Load, centre: Place, *, satellite_of: "Glioma | None" = None) -> "Glioma":
        kind = _KINDS[stream.choice(np.array(load.kinds))]
        radius = float(np.exp(stream.uniform(*np.log(load.radii_mm))))
        spread = stream.uniform(*load.spread_mm) * min(1.0, 0.35 + radius / 16.0)
        if satellite_of is not None:
            kind = "solid" if satellite_of.kind in ("ring", "solid") else satellite_of.kind
            radius, spread = stream.uniform(2.0, min(6.0, 2.0 + 0.4 * satellite_of.radius_mm)), stream.uniform(0.0, 4.0)
        if kind == "ring" and radius < 6.0:
            kind = "solid"
        if kind == "diffuse":
            radius = min(radius, 5.0)
        turn, _ = np.linalg.qr(stream.normals((3, 3)).astype(np.float64))
        stretch = np.exp(0.18 * stream.normals((3,)).astype(np.float64))
        return cls(kind, centre, radius, (turn * (stretch / np.prod(stretch) ** (1 / 3))).T.astype(np.float32),
                   (RandomField.draw(stream, 1.5 * radius + 6.0), RandomField.draw(stream, 0.6 * radius + 5.0)),
                   stream.uniform(0.5, 1.3), stream.uniform(1.8, 3.2) + stream.uniform(0.0, 0.2) * radius,
                   RandomField.draw(stream, 0.7 * radius + 6.0), stream.uniform(-2.6, -1.0),
                   stream.uniform() ** 2 if kind == "low-grade" else stream.uniform(0.6, 1.0), spread,
                   stream.uniform(2.0, 7.0), RandomField.draw(stream, 0.6 * spread + 12.0),
                   stream.uniform(0.15, 0.7) * (0.6 if kind == "diffuse" else 1.0),
                   stream.uniform(0.1, 0.4) if stream.uniform() < 0.2 else 0.0)

    @property
    def reach_mm(self) -> float:
        return 1.7 * self.radius_mm + 1.9 * self.spread_mm + 8.0

    def moved(self, z: Volume3D, y: Volume3D, x: Volume3D) -> tuple[Volume3D, Volume3D, Volume3D]:
        """See `Push`: the brain is pressed away from the centre."""
        width = 1.5 * self.radius_mm + 0.3 * self.spread_mm + 4.0
        dz, dy, dx = (axis - middle for axis, middle in zip((z, y, x), self.centre, strict=True))
        kept = 1.0 - self.pressure * np.exp(-(dz**2 + dy**2 + dx**2) / width**2)
        return self.centre[0] + dz * kept, self.centre[1] + dy * kept, self.centre[2] + dx * kept

    def squeeze(self, z: Volume3D, y: Volume3D, x: Volume3D) -> Volume3D:
        """See `Push`."""
        width = self.radius_mm + 0.8 * self.spread_mm + 3.0
        away = sum((axis - middle) ** 2 for axis, middle in zip((z, y, x), self.centre, strict=True))
        return np.asarray(min(1.0, self.radius_mm / 10.0) * np.exp(-away / width**2), dtype=np.float32)

    def paint(self, canvas: "LesionCanvas") -> None:
        """Add the tumour to what is there; the worse label stays where two tumours meet."""
        box = canvas.grid.box(self.centre, self.reach_mm)
        grid, brain = canvas.grid.part(box), canvas.brain.part(box)
        if 0 in grid.shape:
            return
        core = self._core(grid)
        own = brain.left == (self.centre[2] > 0)  # the falx holds it back, except where the callosum crosses
        crosses = np.abs(grid.coordinates[2]) < 3.0 * (brain.cortex > 4.0)
        solid = (core > 0) & (own | crosses) & (brain.hull > 2.6) & (brain.ventricles < 0)
        solid &= (brain.tissue != BrainTissue.LIQUOR) | ((core > 2.5) & (brain.cortex > -2.0))
        solid &= brain.tissue != BrainTissue.OUTSIDE
        edema = _joined_to(solid | (core > -2.0), self._edema(grid, brain, core, own | (brain.cortex > 6.0)))
        share = canvas.edema[box]
        np.maximum(share, np.where(solid, 0.0, np.clip(edema / self.soft_mm + 0.5, 0.0, 1.0)), out=share)
        seen = edema + canvas.reader_mm + 0.8 * canvas.reader[box]
        labels = canvas.labels[box]
        labels[(seen > 0) & (labels == 0) & ~solid] = canvas.values[EDEMA]
        self._paint_core(canvas, box, grid, core, solid)

    def _core(self, grid: VoxelGrid) -> Volume3D:
        """Depth in the core: a stretched ball with lobes."""
        z, y, x = (axis - middle for axis, middle in zip(grid.coordinates, self.centre, strict=True))
        away = np.sqrt(sum((row[0] * z + row[1] * y + row[2] * x) ** 2 for row in self.frame))
        coarse, fine = self.lobes
        lobes = 0.2 * coarse.on(grid) + 0.09 * fine.on(grid)
        return np.asarray(self.radius_mm * (1.0 + self.lobed * lobes) - away, dtype=np.float32)

    def _edema(self, grid: VoxelGrid, brain: BrainMap, core: Volume3D, own: NDArray[np.bool_]) -> Volume3D:
        """Depth in the oedema: far in white matter, a little in grey, nowhere in liquor."""
        depth = core + self.spread_mm * (1.0 + 0.55 * self.fingers.on(grid))
        dense = np.isin(brain.tissue, (BrainTissue.GREY, BrainTissue.DEEP_GREY, BrainTissue.PALLIDUM, BrainTissue.STEM))
        depth = depth - _GREY_COSTS_MM * dense
        here = own & np.isin(brain.tissue, (BrainTissue.WHITE, BrainTissue.GREY, BrainTissue.DEEP_GREY,
                                            BrainTissue.PALLIDUM, BrainTissue.STEM, BrainTissue.GLIOSIS))
        return np.asarray(np.where(here, depth, -99.0), dtype=np.float32)

    def _paint_core(self, canvas: "LesionCanvas", box: tuple[slice, slice, slice], grid: VoxelGrid, core: Volume3D,
                    solid: NDArray[np.bool_]) -> None:
        tissue, labels = canvas.brain.tissue[box], canvas.labels[box]
        uneven, fine = self.rim.on(grid), self.lobes[1].on(grid)
        if self.kind == "ring":
            enhancing = (core < self.rim_mm * (1.0 + 0.45 * uneven)) & (fine > self.gaps)
            inner = np.where(core > self.rim_mm, BrainTissue.NECROSIS, BrainTissue.SOLID)
        elif self.kind == "solid":
            enhancing = (0.7 * uneven + 0.7 * fine < 0.4 + self.nodular) | (core < 1.0)
            inner = np.full(core.shape, BrainTissue.NECROSIS)
        else:
            enhancing = (0.7 * uneven + 0.7 * fine > 3.0 - 2.4 * self.nodular) & (core > 1.5)
            enhancing &= self.kind == "low-grade"
            inner = np.full(core.shape, BrainTissue.SOLID)
        if self.bleeding:
            inner = np.where(fine > 1.6 - 1.5 * self.bleeding, BrainTissue.HAEMORRHAGE, inner)
        tissue[solid] = np.where(enhancing, BrainTissue.ENHANCING, inner)[solid].astype(np.uint8)
        worse = solid & (labels != canvas.values[ENHANCING_TUMOUR])
        labels[worse] = np.where(enhancing, canvas.values[ENHANCING_TUMOUR], canvas.values[NECROTIC_CORE])[worse]


def _joined_to(core: NDArray[np.bool_], edema: Volume3D) -> Volume3D:
    """The depth in the oedema without its islands: the pieces that do not touch the core."""
    pieces, _ = ndimage.label(core | (edema > -1.0))
    touching = np.unique(pieces[core])
    return np.asarray(np.where(np.isin(pieces, touching[touching > 0]), edema, np.minimum(edema, -99.0)))


@dataclass
class LesionCanvas:
    """Where lesions are painted: tissue of `brain`; edema (Z, Y, X), its share in each voxel; labels (Z, Y, X) uint8.
    reader (Z, Y, X), reader_mm: how the reader sees the soft border of oedema, uneven and as a whole."""

    grid: VoxelGrid
    brain: BrainMap
    values: dict[str, int]
    edema: NDArray[np.float32]
    labels: NDArray[np.uint8]
    reader: Volume3D
    reader_mm: float


def draw_gliomas(stream: Stream, load: Load) -> tuple[Glioma, ...]:
    """The tumours of a patient, each followed by its satellites."""
    gliomas = list[Glioma]()
    for _ in range(stream.choice(np.array(load.counts))):
        main = Glioma.draw(stream, load, _place(stream))
        gliomas.append(main)
        for _ in range(stream.choice(np.array(load.satellites))):
            direction = stream.normals((3,)).astype(np.float64)
            direction /= max(float(np.linalg.norm(direction)), 1e-6)
            away = main.radius_mm * stream.uniform(1.1, 1.5) + main.spread_mm * stream.uniform(0.2, 1.2) + 4.0
            z, y, x = (float(middle + part) for middle, part in zip(main.centre, away * direction, strict=True))
            if _is_inside(z, y, x):
                gliomas.append(Glioma.draw(stream, load, (z, y, x), satellite_of=main))
    return tuple(gliomas)


def pushing(gliomas: Sequence[Glioma]) -> list[Glioma]:
    """Those that are large enough to move the brain."""
    return [glioma for glioma in gliomas if glioma.radius_mm > 6.0]


def _place(stream: Stream) -> Place:
    """A place in the hemispheres, more often in their outer half, where most gliomas lie."""
    while True:
        z, y = stream.uniform(-30.0, 48.0), stream.uniform(-68.0, 68.0)
        x = stream.uniform(8.0, 56.0) * (1.0 if stream.uniform() < 0.5 else -1.0)
        if _is_inside(z, y, x):
            return z, y, x


def _is_inside(z: float, y: float, x: float) -> bool:
    if z < -22.0:
        return (abs(z + 24.0) / 16.0) ** 2 + ((y + 2.0) / 38.0) ** 2 + ((abs(x) - 43.0) / 17.0) ** 2 < 1.0
    return 0.12 < (z / 54.0) ** 2 + (y / 78.0) ** 2 + (x / 60.0) ** 2 < 1.0

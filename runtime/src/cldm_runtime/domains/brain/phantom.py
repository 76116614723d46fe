"""Phantoms of heads with gliomas, imaged by four sequences as in BraTS: zero outside the brain.

A patient has the same head and the same tumours at any number of voxels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import Purpose, Stream
from ..phantom_rules import DrawnVolume, PhantomRules
from .glioma import LABELS, LesionCanvas, Load, draw_gliomas, pushing
from .head import EXTENT_MM, MIDDLE_MM, Head
from .lookalikes import Lookalikes
from .scanner import SEQUENCES, MrProtocol, ScannerFleet, averaged
from .space import RandomField, VoxelGrid
from .tissue import BrainTissue

SHAPE = (64, 64, 64)
LEAST_VOXELS = 24  # along an axis
_SUBSETS = {"train": 120, "val": 10, "test": 40}
_FIRST_PATIENT = {"train": 0, "val": 40_000, "test": 60_000}
_FINE_MM = 1.5  # voxels wider than this are drawn in blocks of 2 x 2 x 2


@dataclass(frozen=True)
class BrainKind:
    """A cohort of one place. collection: of BraTS, whose names its files have."""

    title: str
    description: str
    collection: str
    load: Load
    fleet: ScannerFleet


@dataclass(frozen=True)
class BrainPhantom:
    """Draws a kind of cohort with the label values of a domain, on a grid of `shape` voxels."""

    kind: BrainKind
    values: Mapping[str, int]
    shape: tuple[int, int, int] = SHAPE

    @property
    def voxel_mm(self) -> float:
        """The side of a voxel: the head fills the grid."""
        return round(max(extent / size for extent, size in zip(EXTENT_MM, self.shape, strict=True)), 3)

    def draw(self, seed: int, patient: int, subset: str) -> DrawnVolume:
        """See `DrawVolume`."""
        number = _FIRST_PATIENT[subset] + patient
        block = 2 if self.voxel_mm > _FINE_MM else 1
        grid = VoxelGrid.around(self.shape, self.voxel_mm, MIDDLE_MM)
        finer = VoxelGrid.around([block * size for size in self.shape], self.voxel_mm / block, MIDDLE_MM)
        stream = Stream(seed, number, Purpose.COHORT)
        head, gliomas = Head.draw(stream), draw_gliomas(stream, self.kind.load)
        brain = head.map(finer, pushing(gliomas))
        gliosis = Lookalikes.draw(Stream(seed, number, Purpose.COHORT, step=1)).paint(finer, brain)
        reader = Stream(seed, number, Purpose.READER)
        canvas = LesionCanvas(finer, brain, dict(self.values), np.zeros(finer.shape, np.float32),
                              np.zeros(finer.shape, np.uint8), RandomField.draw(reader, 14.0).on(finer),
                              reader.normal(0.0, 0.6))
        for glioma in gliomas:
            glioma.paint(canvas)
        gliosis[canvas.labels > 0] = 0.0
        protocol = MrProtocol.draw(Stream(seed, number, Purpose.PROTOCOL), self.kind.fleet)
        images = protocol.images(grid, brain.tissue, {BrainTissue.GLIOSIS: gliosis, BrainTissue.EDEMA: canvas.edema},
                                 block, Stream(seed, number, Purpose.ACQUISITION))
        inside = averaged((brain.hull > 0).astype(np.float32), block) >= 0.5
        image = np.where(inside, np.maximum(np.rint(images), 1.0), 0.0).astype(np.float32)
        labels = _largest(canvas.labels, [self.values[name] for name in LABELS], block)
        return DrawnVolume(image, np.where(inside, labels, 0).astype(np.uint8), (self.voxel_mm,) * 3)

    def rules(self) -> PhantomRules:
        kind = self.kind
        return PhantomRules(self.draw, _SUBSETS, ("test",), kind.title, kind.description, SEQUENCES,
                            collection=kind.collection, with_shape=self._with_shape)

    def _with_shape(self, shape: Sequence[int]) -> PhantomRules:
        """See `PhantomRules.with_shape`."""
        if len(shape) != 3 or min(shape) < LEAST_VOXELS:
            raise ValueError(f"expected three numbers of {LEAST_VOXELS} or more")
        z, y, x = shape
        return BrainPhantom(self.kind, self.values, (z, y, x)).rules()


def _largest(labels: NDArray[np.uint8], values: Sequence[int], block: int) -> NDArray[np.uint8]:
    """Each block gets its most frequent value; of a tie the last of `values` before the background."""
    if block == 1:
        return labels
    best = np.zeros(tuple(size // block for size in labels.shape), np.uint8)
    largest = averaged((labels == 0).astype(np.float32), block)
    for value in values:
        share = averaged((labels == value).astype(np.float32), block)
        best[share >= largest] = value
        largest = np.maximum(largest, share)
    return best

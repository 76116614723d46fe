"""Phantoms of several organs: stacks of a trunk, imaged by CT or MR. They are drawn for declared domains: a domain
declares labels of the names in `Kind.labels`, with values of its own.

The same patient of the same seed has the same anatomy in every kind of image of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ...noise import Purpose, Stream
from ..phantom_rules import DrawnVolume, PhantomRules
from .scanners import Modality
from .shapes import Points
from .tissue import Matter, Paper

SUBSETS: dict[str, int] = {"train": 120, "val": 10, "test": 40}
_FIRST_PATIENT = {"train": 0, "val": 100_000, "test": 200_000}
PIXELS = 160
_APART = 2**32  # between the stream numbers of two repeats; a stack has fewer slices


class Painter(Protocol):
    """Paints the planes of one patient."""

    def __call__(self, canvas: Paper, at: Points) -> None: ...


class BodyPart(Protocol):
    """The labelled anatomy of one patient."""

    def with_surroundings(self, stream: Stream) -> Painter:
        """What the labels do not show is drawn from the stream; no label depends on it."""


@dataclass(frozen=True)
class Kind:
    """field_mm: side of the square image. levels_mm: z of the lowest and the highest slice. labels: the names that it
    draws; tissue_labels: of each tissue that has one."""

    title: str
    description: str
    channel: str
    field_mm: float
    levels_mm: tuple[float, float]
    pitch_mm: float
    labels: tuple[str, ...]
    tissue_labels: Mapping[Matter, str]
    draw_anatomy: Callable[[Stream], BodyPart]
    draw_scanner: Callable[[Stream], Modality]

    @property
    def pixel_mm(self) -> float:
        return self.field_mm / PIXELS

    def levels(self, stream: Stream) -> list[float]:
        """z of every slice of a patient, from below upwards."""
        low, high = self.levels_mm
        first = low + stream.uniform(0.0, self.pitch_mm)
        return [float(z) for z in np.arange(first, high, self.pitch_mm)]


@dataclass(frozen=True)
class Phantom:
    """Draws a kind with the label values of a domain."""

    kind: Kind
    values: Mapping[str, int]

    def draw(self, seed: int, patient: int, subset: str) -> DrawnVolume:
        """See `DrawVolume`."""
        images, labels = self._slices(seed, patient, subset, 0, None)
        return DrawnVolume(images, labels, (self.kind.pitch_mm, self.kind.pixel_mm, self.kind.pixel_mm))

    def rerender(self, seed: int, patient: int, subset: str, repeat: int, slices: Sequence[int]
                 ) -> NDArray[np.float32]:
        """See `RerenderSlices`: surroundings, contrast and noise are drawn anew. The labels' borders stay, also within
        a pixel."""
        return self._slices(seed, patient, subset, repeat + 1, slices)[0]

    def rules(self) -> PhantomRules:
        kind = self.kind
        return PhantomRules(self.draw, SUBSETS, ("test",), kind.title, kind.description, (kind.channel,), self.rerender)

    def _slices(self, seed: int, patient: int, subset: str, version: int, chosen: Sequence[int] | None
                ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Images and labels of the chosen slices, None for all. version: 0 the volume, above it its rerenderings."""
        number = _FIRST_PATIENT[subset] + patient
        stream = Stream(seed, number, Purpose.COHORT)
        levels = self.kind.levels(stream)
        anatomy = self.kind.draw_anatomy(stream)
        paint = anatomy.with_surroundings(Stream(seed, number, Purpose.COHORT, step=version + 1))
        scanner = self.kind.draw_scanner(Stream(seed, number, Purpose.PROTOCOL, step=version))
        images, labels = [], []
        for index in range(len(levels)) if chosen is None else chosen:
            canvas = Paper((PIXELS, PIXELS), self.kind.pixel_mm, self._tissue_values())
            paint(canvas, Points.of_plane(PIXELS, self.kind.pixel_mm, levels[index]))
            scan = Stream(seed, number, Purpose.ACQUISITION, step=version * _APART + index)
            images.append(scanner.image(canvas, scan))
            labels.append(canvas.labels)
        return np.stack(images), np.stack(labels)

    def _tissue_values(self) -> dict[Matter, int]:
        return {tissue: self.values[name] for tissue, name in self.kind.tissue_labels.items()}

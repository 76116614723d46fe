"""Where the lesion of a label map lies: values that are measured as attributes are, besides the domain's attributes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .attributes import Attribute, Measurement
from .labels import LabelMap


@dataclass(frozen=True)
class PlaceFigure:
    """A figure of how well the place of lesions was found. meaning: in words; value: in `unit`, NaN where undefined; n:
    lesions that it rests on."""

    meaning: str
    unit: str
    value: float
    n: int


class MeasurePlaces(Protocol):
    def __call__(self, labels: LabelMap, attributes: NDArray[np.float32] | None = None,
                 given: NDArray[np.float32] | None = None) -> Measurement:
        """Measure (N, *spatial) label maps.

        attributes: (N, A) of the domain, for what no map shows, such as the slice's position. given: (N, P) places that
        are known or requested, of which only those that no map shows are used. None or NaN: not known.
        """


class ComparePlaces(Protocol):
    def __call__(self, reference: NDArray[np.float32], measured: NDArray[np.float32]) -> tuple[PlaceFigure, ...]:
        """Figures of the rows of two tables (N, P) in which both hold a lesion."""


@dataclass(frozen=True)
class PlaceRules:
    """attributes: the P values. words: of those that are the number of a word, the words from 0 on. reasons: numbers of
    this domain's own reasons why one is NaN, besides those of its attributes -> their names."""

    attributes: tuple[Attribute, ...]
    words: Mapping[str, tuple[str, ...]]
    reasons: Mapping[int, str]
    measure: MeasurePlaces
    compare: ComparePlaces

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    def values(self, numbers: Mapping[str, float], words: Mapping[str, str]) -> NDArray[np.float32]:
        """(P,) what a request says, NaN where it leaves a place open."""
        known = {**numbers, **{name: float(self.words[name].index(word)) for name, word in words.items()
                               if name in self.words}}
        return np.array([known.get(name, np.nan) for name in self.names], dtype=np.float32)

"""A domain names the labels, attributes and anatomy that belong together. The rest of the package asks it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..noise import Stream
from .attributes import Attribute, Measurement
from .labels import LabelMap, LabelSet


@dataclass(frozen=True)
class Drawn:
    """A (*spatial) label map, and how many draws it took: the last one met the request."""

    labels: LabelMap
    draws: int


class Anatomy(Protocol):
    """Draws label maps that meet a request. A request maps attribute names to values in the user's units."""

    def identity(self) -> dict[str, str]:
        """What the label maps depend on, besides seed and index; part of the plan. `anatomy` is its kind."""

    def contradictions(self, request: Mapping[str, float]) -> list[str]:
        """Why no label map at all can meet the request; empty where nothing in it contradicts itself."""

    def faults(self, request: Mapping[str, float]) -> list[str]:
        """Why no anatomy can meet the request; empty if one can. Missing attributes are free."""

    def complete(self, request: Mapping[str, float], stream: Stream,
                 table: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Fill the attributes left out so that the whole stays feasible; NaN where one is undefined. One that stays
        left out is free: the label map decides it.

        table: (rows, A) joint values in the domain's attribute order, the distribution to draw from (a bundle states
        that of its training data); None draws from the domain's own prior.
        """

    def draw(self, request: Mapping[str, float], stream: Stream, *, shape: tuple[int, ...],
             spacing_mm: tuple[float, ...], rotation_deg: float = 0.0) -> Drawn:
        """One label map whose measured attributes meet the (completed) request within the tolerances.

        Raises InputError if none is found.
        """


class Measure(Protocol):
    def __call__(self, labels: LabelMap) -> Measurement:
        """Measure (N, *spatial) label maps."""


class Tidy(Protocol):
    def __call__(self, labels: LabelMap) -> LabelMap | None:
        """One (*spatial) label map that a network drew, without loose pieces; None where it is no anatomy."""


class Widen(Protocol):
    def __call__(self, labels: LabelMap, widening_mm: float, spacing_mm: tuple[float, ...]) -> LabelMap:
        """One (*spatial) label map with its lesion grown by so many mm within its organ; below 0 it shrinks."""


@dataclass(frozen=True)
class Domain:
    name: str
    labels: LabelSet
    attributes: tuple[Attribute, ...]
    measure: Measure
    anatomy: Anatomy
    lesion: str | None = None  # the region that may be absent: agreement is also given for samples that hold it
    lesion_size: str | None = None  # the attribute that is 0 where the lesion is absent, and above 0 where it is not
    tidy: Tidy | None = None  # None: maps that a network drew are taken as they are
    widen: Widen | None = None  # None: the lesions of this domain cannot be widened

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    @property
    def tolerances(self) -> NDArray[np.float64]:
        return np.array([attribute.tolerance for attribute in self.attributes])

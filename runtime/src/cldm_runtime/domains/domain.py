"""A domain: the labels, attributes and anatomy of one organ, in one record that the rest of the package reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..noise import Stream
from .appearance_rules import AppearanceRules
from .attributes import Attribute, Measurement, Reason
from .edit_rules import EditRules
from .labels import LabelMap, LabelSet
from .layout import FileLayout
from .phantom_rules import PhantomRules
from .place_rules import PlaceRules
from .stack_rules import StackRules
from .word_rules import WordRules


@dataclass(frozen=True)
class Drawn:
    """A (*spatial) label map that meets the request, and the number of draws it took."""

    labels: LabelMap
    draws: int


class Anatomy(Protocol):
    """Draws label maps that meet a request. A request maps attribute names to values in the user's units."""

    def identity(self) -> dict[str, str]:
        """Everything but seed and index that the label maps depend on; part of the plan. `anatomy` is its kind."""

    def contradictions(self, request: Mapping[str, float]) -> list[str]:
        """Why no label map at all can meet the request; empty if it does not contradict itself."""

    def faults(self, request: Mapping[str, float]) -> list[str]:
        """Why no anatomy can meet the request; empty if one can. Missing attributes are free."""

    def nearest(self, request: Mapping[str, float]) -> dict[str, float] | None:
        """A request without faults close to this one, which keeps its values where it can; None if none was found."""

    def complete(self, request: Mapping[str, float], stream: Stream,
                 table: NDArray[np.float64] | None = None) -> dict[str, float]:
        """Fill in the missing attributes so that the request stays feasible; NaN where one is undefined. An attribute
        that is still missing then is free: the label map decides it.

        table: (rows, A) joint values in the domain's attribute order, the distribution to draw from (a bundle contains
        that of its training data); None draws from the domain's own prior.
        """

    def draw(self, request: Mapping[str, float], stream: Stream, *, shape: tuple[int, ...],
             spacing_mm: tuple[float, ...], rotation_deg: float = 0.0) -> Drawn:
        """One label map whose measured attributes meet the (completed) request within the tolerances.

        Raises InputError if none is found.
        """


class Measure(Protocol):
    def __call__(self, labels: LabelMap, spacing_mm: tuple[float, ...] | None = None) -> Measurement:
        """Measure (N, *spatial) label maps.

        spacing_mm: mm between pixels, one number for each spatial axis. A domain whose attributes are lengths, areas or
        volumes raises InputError without it; one whose attributes are shares ignores it.
        """


class MeasureImages(Protocol):
    def __call__(self, images: NDArray[np.floating], labels: LabelMap,
                 spacing_mm: tuple[float, ...] | None = None) -> Measurement:
        """Measure (N, C, *spatial) images in [0, 1], the shares of their value range, with (N, *spatial) label maps."""


class Tidy(Protocol):
    def __call__(self, labels: LabelMap) -> LabelMap | None:
        """One (*spatial) label map that a network drew, without loose pieces; None if it is no valid anatomy."""


class Widen(Protocol):
    def __call__(self, labels: LabelMap, widening_mm: float, spacing_mm: tuple[float, ...]) -> LabelMap:
        """One (*spatial) label map with its lesion grown by `widening_mm` within its organ; below 0 it shrinks."""


@dataclass(frozen=True)
class Domain:
    """Labels, attributes and anatomy of one organ, with their rules and limits.

    anatomy: None if the domain draws no label maps and users supply them. axes: spatial axes of a sample, 2 (slices)
    or 3 (volumes). reasons: numbers of this domain's own reasons why a value is NaN -> their names; 0 and 4 are common
    to all domains (`Reason`). limits: sentences for model cards, on what no bundle of this domain covers.
    declaration: the data that a declared domain was built from (`declared.py`), which bundles and datasets contain;
    None for the domains of this package.
    """

    name: str
    labels: LabelSet
    attributes: tuple[Attribute, ...]
    measure: Measure
    anatomy: Anatomy | None = None
    lesion: str | None = None  # the region that may be absent: agreement is also reported for the samples with it
    lesion_size: str | None = None  # the attribute that is 0 where the lesion is absent, and above 0 where it is not
    tidy: Tidy | None = None  # None: maps that a network drew are used unchanged
    widen: Widen | None = None  # None: the lesions of this domain cannot be widened
    edit: EditRules | None = None  # None: the lesions of this domain cannot be edited in given label maps
    axes: int = 2
    reasons: Mapping[int, str] = field(default_factory=dict)
    limits: str = ""
    declaration: Mapping[str, Any] | None = None
    stack: StackRules | None = None  # None: every labelled slice is usable, and no attribute needs a stack
    phantoms: Mapping[str, PhantomRules] = field(default_factory=dict)  # by name, oldest first; empty: none is drawn
    layouts: tuple[FileLayout, ...] = ()  # of public datasets of this organ
    appearance: AppearanceRules | None = None  # None: what its images look like is not measured
    image_attributes: tuple[Attribute, ...] = ()  # measured on an image with its label map
    image_reasons: Mapping[int, str] = field(default_factory=dict)  # why one of those is NaN, besides `reasons`
    measure_images: MeasureImages | None = None  # None: there are none
    words: WordRules | None = None  # None: nothing is requested or described in words
    place: PlaceRules | None = None  # None: where its lesions lie is not measured

    def __post_init__(self) -> None:
        clash = sorted(set(self.reasons) & set(Reason))
        if clash or self.axes not in (2, 3):
            raise InputError(f"domain {self.name!r}: reasons {clash} are common to all domains, and axes is "
                             f"{self.axes}. Use other numbers, and 2 or 3 axes.")
        object.__setattr__(self, "reasons", MappingProxyType(dict(self.reasons)))
        object.__setattr__(self, "phantoms", MappingProxyType(dict(self.phantoms)))

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.attributes)

    @property
    def image_attribute_names(self) -> tuple[str, ...]:
        return tuple(attribute.name for attribute in self.image_attributes)

    @property
    def tolerances(self) -> NDArray[np.float64]:
        return np.array([attribute.tolerance for attribute in self.attributes])

    @property
    def reason_names(self) -> dict[int, str]:
        """Every reason that a measurement of a label map can give, in the order of their numbers."""
        every = {int(reason): reason.name.lower() for reason in Reason} | dict(self.reasons)
        return dict(sorted(every.items()))

    @property
    def place_reason_names(self) -> dict[int, str]:
        """Every reason that a measurement of the place of a lesion can give."""
        return self.reason_names | dict(self.place.reasons if self.place else {})

    @property
    def image_reason_names(self) -> dict[int, str]:
        """Every reason that a measurement of an image with its label map can give."""
        return self.reason_names | dict(self.image_reasons)

    def require_anatomy(self) -> Anatomy:
        """The anatomy that draws label maps. Raises InputError if the domain has none."""
        if self.anatomy is None:
            raise InputError(f"domain {self.name!r} draws no label maps. Give some: cldm-gen --masks maps.npy, or "
                             "--masks with a dataset file that holds label maps. Or pass --anatomy learned, with a "
                             "bundle that draws them.")
        return self.anatomy

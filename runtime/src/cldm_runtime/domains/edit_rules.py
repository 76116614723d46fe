"""How a domain edits the lesion of a given label map."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..noise import Purpose, Stream
from .attributes import Attribute
from .labels import LabelMap


@dataclass(frozen=True)
class EditRequest:
    """What is asked of an edit: numbers in the user's units and words, by the name of their column. Those left out are
    free."""

    numbers: Mapping[str, float] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)


class DrawEdit(Protocol):
    def __call__(self, labels: LabelMap, asked: EditRequest, seed: int, number: int,
                 table: NDArray[np.float64] | None = None) -> LabelMap:
        """One (*spatial) label map with its lesion edited; outside its organ nothing changes.

        number: of the given map. What is not asked for is drawn from (seed, number) alone, so that it is the same for
        all edits of a map. table: (rows, A) joint attributes, from which attributes that are left out are drawn. Raises
        InputError for a map that cannot be edited, and for a lesion that does not fit.
        """


class EditFaults(Protocol):
    def __call__(self, asked: EditRequest) -> list[str]:
        """Why no map at all can be edited so; empty if the request does not contradict itself."""


class MapFaults(Protocol):
    def __call__(self, labels: LabelMap, asked: EditRequest) -> list[str]:
        """Why this map cannot be edited so, as far as that shows without a trial; empty if it seems possible."""


@dataclass(frozen=True)
class EditRules:
    """name: what is edited, as `--edit` has it. attributes: columns of a grid of edits, besides the domain's own
    attributes. words: columns that hold words, and the words. removal: the request that leaves no lesion."""

    name: str
    attributes: tuple[Attribute, ...]
    words: Mapping[str, tuple[str, ...]]
    faults: EditFaults
    map_faults: MapFaults
    draw: DrawEdit
    removal: EditRequest


def edit_stream(seed: int, number: int, attempt: int) -> Stream:
    """The random numbers of an attempt to edit map `number`."""
    return Stream(seed, number, Purpose.EDIT, attempt)

"""A domain's rules for stacks of slices: which slices are usable, and the attribute that needs the whole stack."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .labels import LabelMap


class Usable(Protocol):
    def __call__(self, labels: LabelMap, regions: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
        """(N,) whether each of the (N, H, W) label maps is usable.

        regions: the label values of each of `StackRules.regions`, or of the regions that the user names instead; empty
        if slices are not judged by regions.
        """


@dataclass(frozen=True)
class StackRules:
    """ends: names of the two ends of a stack; `positions` counts from the first to the second. regions: names of the
    regions by which `usable` judges a slice. dropped: why a slice is not usable, in a few words. attribute: the one
    that needs the whole stack. positions: number of labelled slices -> its values (count,), NaN where undefined.
    first_end: the end that the first labelled slice of a (Z, H, W) label map shows by its labels; "" where they do not
    tell, and without it.
    """

    ends: tuple[str, str]
    regions: tuple[str, ...]
    usable: Usable
    dropped: str
    attribute: str
    positions: Callable[[int], NDArray[np.float32]]
    first_end: Callable[[LabelMap], str] | None = None

"""What a domain knows about stacks of slices: which slices are usable, and what only the whole stack tells."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .labels import LabelMap


class Usable(Protocol):
    def __call__(self, labels: LabelMap, regions: tuple[tuple[int, ...], ...]) -> NDArray[np.bool_]:
        """(N,) which of the (N, H, W) label maps are kept.

        regions: the label values of each of `StackRules.regions`, or of those that the user names instead; empty where
        slices are not judged by regions.
        """


@dataclass(frozen=True)
class StackRules:
    """ends: names of the two ends of a stack; `positions` counts from the first to the second. regions: names of the
    regions by which `usable` judges a slice. dropped: why it drops one, in a few words. attribute: the one that only
    the stack tells. positions: number of labelled slices -> their values of it (count,), NaN where undefined.
    """

    ends: tuple[str, str]
    regions: tuple[str, ...]
    usable: Usable
    dropped: str
    attribute: str
    positions: Callable[[int], NDArray[np.float32]]

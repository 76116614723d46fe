"""Label maps: the meaning of each integer, and the regions that are scored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

LabelMap = NDArray[np.uint8]
_MOST_SHOWN = 20


@dataclass(frozen=True)
class LabelSet:
    """The labels of a domain. `names[v]` is the name of label value `v`; 0 is the background.

    `regions` maps the name of a scored region to the label values that form it; `colours[v]` is an RGB triple
    (0..255) for pictures. `within` maps a label value to the one that surrounds it, and that stands in its place where
    it is left free (`free_classes.py`); the background surrounds the others.
    """

    names: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]
    colours: tuple[tuple[int, int, int], ...]
    within: Mapping[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "regions", MappingProxyType(dict(self.regions)))
        object.__setattr__(self, "within", MappingProxyType(dict(self.within)))

    def __len__(self) -> int:
        return len(self.names)

    def region(self, labels: LabelMap, name: str) -> NDArray[np.bool_]:
        """Binary map of a region, of the same shape as `labels`."""
        return np.isin(labels, self.regions[name])

    def one_hot(self, labels: LabelMap) -> NDArray[np.float32]:
        """(N, *spatial) label values -> (N, classes, *spatial) of 0 and 1."""
        values = np.arange(len(self.names), dtype=labels.dtype).reshape(1, -1, *([1] * (labels.ndim - 1)))
        planes: NDArray[np.float32] = (labels[:, None] == values).astype(np.float32)
        return planes

    def check(self, labels: NDArray[np.generic], where: str) -> None:
        """Raise InputError if `labels` contains a value that this set does not define."""
        if not np.issubdtype(labels.dtype, np.integer):
            raise InputError(f"{where}: label maps must be integers, found {labels.dtype}. Convert them to uint8.")
        present = np.unique(labels)
        unknown = [int(v) for v in present if v < 0 or v >= len(self.names)]
        if unknown:
            expected = ", ".join(f"{value} {name}" for value, name in enumerate(self.names))
            listed = ", ".join(map(str, unknown[:_MOST_SHOWN])) + (", ..." if len(unknown) > _MOST_SHOWN else "")
            raise InputError(f"{where}: unknown label values [{listed}]. Known: {expected}. Map the labels first.")


def nested_chain(regions: Mapping[str, tuple[int, ...]]) -> list[set[int]]:
    """The label values of regions, each within the next larger one, as those of BraTS are; empty where they are not."""
    chain = sorted((set(values) for values in regions.values()), key=len)
    return chain if all(small < large for small, large in pairwise(chain)) else []

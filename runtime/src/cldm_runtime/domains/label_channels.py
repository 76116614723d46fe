"""Label maps as channels between 0 and 1, for networks that draw them, and back.

Where the regions of a domain are nested and tell every label from the others, each channel is a region: one that lies
in another is never drawn outside it. Otherwise each channel is a label.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .labels import LabelMap, nested_chain

_INSIDE = 0.5


@dataclass(frozen=True)
class LabelChannels:
    """names: of the channels. values: the labels of which each channel is 1. kind: what the channels are."""

    kind: Literal["regions", "labels"]
    names: tuple[str, ...]
    values: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.names)

    def encode(self, labels: LabelMap) -> NDArray[np.uint8]:
        """(N, *spatial) label values -> (N, C, *spatial) of 0 and 1."""
        return np.stack([np.isin(labels, values) for values in self.values], axis=1).astype(np.uint8)

    def decode(self, channels: NDArray[np.floating]) -> LabelMap:
        """(N, C, *spatial) of 0 to 1 -> (N, *spatial) label values. A region holds the voxels above 0.5 that lie in
        every region around it; of labels, the greatest channel wins, the first at a tie."""
        if self.kind == "labels":
            return np.asarray(channels.argmax(axis=1), np.uint8)
        depth, labels = self._inside(channels), np.zeros((len(channels), *channels.shape[2:]), np.uint8)
        for place, channel in enumerate(self._outer_first):
            inner = self.values[self._outer_first[place + 1]] if place + 1 < len(self) else ()
            own = next(value for value in self.values[channel] if value not in inner)
            labels[depth[:, channel]] = own
        return labels

    def binary(self, channels: NDArray[np.floating]) -> NDArray[np.bool_]:
        """(N, C, *spatial) of 0 to 1 -> the voxels that `decode` puts into each region, or gives each label."""
        if self.kind == "regions":
            return self._inside(channels)
        return self.encode(self.decode(channels)).astype(np.bool_)

    @property
    def _outer_first(self) -> list[int]:
        return sorted(range(len(self)), key=lambda channel: -len(self.values[channel]))

    def _inside(self, channels: NDArray[np.floating]) -> NDArray[np.bool_]:
        inside = np.asarray(channels > _INSIDE)
        order = self._outer_first
        for outer, inner in pairwise(order):
            inside[:, inner] &= inside[:, outer]
        return inside


def label_channels(names: tuple[str, ...], regions: Mapping[str, tuple[int, ...]]) -> LabelChannels:
    """The channels of label maps. names: of the label values, the background first. regions: name -> label values."""
    if _tell_labels_apart(len(names), regions):
        return LabelChannels("regions", tuple(regions), tuple(tuple(values) for values in regions.values()))
    return LabelChannels("labels", names, tuple((value,) for value in range(len(names))))


def _tell_labels_apart(count: int, regions: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether the regions are nested, and each has one label more than the next smaller one, until all are in."""
    chain = nested_chain(regions)
    return bool(chain) and [len(values) for values in chain] == list(range(1, count)) and 0 not in chain[-1]

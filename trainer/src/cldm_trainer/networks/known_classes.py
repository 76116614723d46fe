"""Label maps of which any classes may be left free: mask-ablated training (Konz et al., arXiv 2402.05210), with an
input that tells a class that is absent from one that is unknown."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class KnownClassPlanes(nn.Module):
    """One-hot label map (N, K, *spatial) and which of its classes are known (N, K) -> (N, 2 K - 1, *spatial): the map
    without the others, in whose place stands the class around them, then which classes but the background are known,
    the same at every place. within: label -> the label around it, if that is not the background."""

    def __init__(self, classes: int, within: Mapping[int, int]) -> None:
        super().__init__()
        self.shape = (2 * classes - 1,)
        self.around = tuple(within.get(value, 0) for value in range(classes))

    def forward(self, one_hot: Tensor, known: Tensor) -> Tensor:
        planes, flags = list(one_hot.unbind(1)), list(known.unbind(1))
        for value in self._inner_first():
            free = planes[value] * (1.0 - _spread(flags[value], one_hot))
            planes[value] = planes[value] - free
            planes[self.around[value]] = planes[self.around[value]] + free
        told = [_spread(flag, one_hot).expand_as(planes[0]) for flag in flags[1:]]
        return torch.stack([*planes, *told], dim=1)

    def _inner_first(self) -> list[int]:
        """The labels but the background, each before the one around it."""
        return sorted(range(1, len(self.around)), key=self._depth, reverse=True)

    def _depth(self, value: int) -> int:
        """How many labels lie around one."""
        return 0 if value == 0 else 1 + self._depth(self.around[value])


def _spread(flag: Tensor, one_hot: Tensor) -> Tensor:
    """(N,) -> (N, 1, ...), which goes with (N, *spatial)."""
    return flag.reshape(-1, *(1,) * (one_hot.ndim - 2))

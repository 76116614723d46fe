"""Ratios to a level that is added after the denoiser, such as contrast over noise, in units of signal."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class SignalUnits(nn.Module):
    """Attributes and where they are defined (N, A + L), the last L of them levels -> both (N, A): ratios times their
    levels, undefined where one of the two is; the others as they are.

    factors: for each of the A attributes the column of its level, None for one that is no ratio.
    """

    factors: Tensor

    def __init__(self, factors: Sequence[int | None]) -> None:
        super().__init__()
        levels = {column for column in factors if column is not None}
        ones = len(factors) + len(levels)  # the column that `_times` appends
        columns = [ones if column is None else column for column in factors]
        self.register_buffer("factors", torch.tensor(columns), persistent=False)

    def forward(self, attributes: Tensor, defined: Tensor) -> tuple[Tensor, Tensor]:
        if attributes.shape[1] == len(self.factors):
            return attributes, defined
        return self._times(attributes), self._times(defined)

    def _times(self, numbers: Tensor) -> Tensor:
        with_ones = torch.cat([numbers, torch.ones_like(numbers[:, :1])], dim=1)
        return numbers[:, :len(self.factors)] * with_ones[:, self.factors]


class InSignalUnits(nn.Module):
    """An encoder of attributes, which is given them in units of signal."""

    def __init__(self, factors: Sequence[int | None], encoder: nn.Module) -> None:
        super().__init__()
        self.units, self.encoder = SignalUnits(factors), encoder

    def forward(self, attributes: Tensor, defined: Tensor) -> Tensor:
        encoded: Tensor = self.encoder(*self.units(attributes, defined))
        return encoded

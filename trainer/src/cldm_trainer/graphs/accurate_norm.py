"""Group normalisation whose sums lose no digits on label maps.

Large regions of a label map are constant. There the sums of the built-in kernels, of torch as of onnxruntime, drift by
1e-5 of their value, which an encoder's later layers turn into errors above what an export may have. Here the mean is
taken row by row and then over the rows, and the variance from the deviations.
"""

import math

import torch
from torch import Tensor, nn


class AccurateGroupNorm(nn.Module):
    """Computes what `norm` computes, for (N, C, *spatial)."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = norm.weight, norm.bias

    def forward(self, x: Tensor) -> Tensor:
        n, channels, *sizes = x.shape
        rows = x.reshape(n, self.groups, channels // self.groups * math.prod(sizes[:-1]), sizes[-1])
        deviation = rows - _mean(rows)
        unit = deviation * torch.rsqrt(_mean(deviation.square()) + self.eps)
        weight, bias = (values.reshape(-1, *(1,) * len(sizes)) for values in (self.weight, self.bias))
        scaled: Tensor = unit.reshape(n, channels, *sizes) * weight + bias
        return scaled


def _mean(rows: Tensor) -> Tensor:
    return rows.mean(-1, keepdim=True).mean(-2, keepdim=True)


def use_accurate_norms(module: nn.Module) -> None:
    """Replace every group normalisation inside `module`, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.GroupNorm):
            setattr(module, name, AccurateGroupNorm(child))
        else:
            use_accurate_norms(child)

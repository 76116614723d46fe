"""A linear codec of blocks, beside which a network learns the rest."""

import torch
from torch import Tensor, nn

from .rank import CONVOLUTION, DepthToSpace, SpaceToDepth

_AT_ONCE = 16  # samples
_LEAST = 1e-6  # variance: of samples that are background throughout


class BlockComponents(nn.Module):
    """Samples (N, C, *spatial) with values from -1, the background, to 1 <-> latents (N, components, *(spatial /
    stride)): principal components of blocks of `stride` along every axis, as differences from background. Background is
    0 in every component.

    The first component has a mean square of 1 over the blocks that are not background, the others keep their share of
    its variance: what they differ by is then what the blocks differ by, and fine ones weigh little in a loss."""

    def __init__(self, channels: int, components: int, stride: int, dims: int) -> None:
        super().__init__()
        places, convolution = channels * stride**dims, CONVOLUTION[dims]
        self.fold, self.unfold = SpaceToDepth(stride), DepthToSpace(stride)
        self.project = convolution(places, components, 1, bias=False)
        self.restore = convolution(components, places, 1, bias=False)

    @torch.no_grad()
    def fit(self, samples: Tensor) -> None:
        """Take the components of samples with values from 0 to 1."""
        places, blocks = self.project.in_channels, 0
        moments = torch.zeros(places, places, dtype=torch.float64)
        for start in range(0, len(samples), _AT_ONCE):
            block = 2.0 * self.fold(samples[start : start + _AT_ONCE].float()).movedim(1, -1).reshape(-1, places)
            block = block[block.any(1)].double()
            moments, blocks = moments + block.T @ block, blocks + len(block)
        variances, directions = torch.linalg.eigh(moments / max(blocks, 1))
        directions = directions.flip(1)[:, : self.project.out_channels]
        scale = float(variances[-1].clamp_min(_LEAST)) ** 0.5
        self.project.weight.copy_((directions / scale).T.reshape(self.project.weight.shape))
        self.restore.weight.copy_((directions * scale).reshape(self.restore.weight.shape))

    def encode(self, x: Tensor) -> Tensor:
        latent: Tensor = self.project(self.fold(x) + 1.0)
        return latent

    def decode(self, z: Tensor) -> Tensor:
        sample: Tensor = self.unfold(self.restore(z)) - 1.0
        return sample

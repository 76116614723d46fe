"""The condition of a ControlNet, embedded once for all timesteps."""

from collections.abc import Sequence

import torch
from monai.networks.nets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn

from .rank import CONVOLUTION, SpaceToDepth


class ControlEncoder(nn.Module):
    """One-hot label map (N, K, *spatial) -> control (N, C, *(spatial / stride)), C the width of the U-Net's first
    level.

    Convolutions from the full resolution to the latent's, of stride 2 behind each of `channels` but the last, so that
    stride = 2^(len(channels) - 1). The last convolution starts at zero (Zhang et al., ICCV 2023).
    """

    def __init__(self, classes: int, channels: Sequence[int], control_channels: int, dims: int = 2) -> None:
        super().__init__()
        self.shape = (control_channels,)
        self.embedding = ControlNetConditioningEmbedding(dims, classes, control_channels, channels)

    def forward(self, one_hot: Tensor) -> Tensor:
        control: Tensor = self.embedding(one_hot)
        return control


class ControlImageEncoder(nn.Module):
    """Given image (N, C, *spatial) in [0, 1] -> control (N, Cc, *(spatial / stride)), Cc the width of the U-Net's first
    level.

    With `patch` > 1, pixels are moved to channels first and mixed down to `channels[0]`, so that no convolution runs at
    full resolution. Then as `ControlEncoder`: stride = patch * 2^(len(channels) - 1).
    """

    def __init__(self, image_channels: int, patch: int, channels: Sequence[int], control_channels: int,
                 dims: int) -> None:
        super().__init__()
        self.shape = (control_channels,)
        self.fold: nn.Module = nn.Identity()
        taken = image_channels
        if patch > 1:
            taken = channels[0]
            self.fold = nn.Sequential(SpaceToDepth(patch), CONVOLUTION[dims](image_channels * patch**dims, taken, 1),
                                      nn.SiLU())
        self.embedding = ControlNetConditioningEmbedding(dims, taken, control_channels, channels)

    def forward(self, image: Tensor) -> Tensor:
        control: Tensor = self.embedding(self.fold(2.0 * image - 1.0))
        return control


class PaintingEncoder(nn.Module):
    """One-hot label map (N, K, *spatial), image (N, C, *spatial) in [0, 1] and region (N, 1, *spatial), 1 where it is
    painted anew -> control (N, Cc, *(spatial / stride)), as `ControlEncoder`. Only the image outside the region counts.
    """

    def __init__(self, classes: int, image_channels: int, channels: Sequence[int], control_channels: int,
                 dims: int) -> None:
        super().__init__()
        self.shape = (control_channels,)
        self.embedding = ControlNetConditioningEmbedding(dims, classes + image_channels + 1, control_channels, channels)

    def forward(self, one_hot: Tensor, image: Tensor, region: Tensor) -> Tensor:
        around = (2.0 * image - 1.0) * (1.0 - region)
        control: Tensor = self.embedding(torch.cat([one_hot, around, region], dim=1))
        return control

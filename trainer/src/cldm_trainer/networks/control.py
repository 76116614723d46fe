"""The condition of a ControlNet, embedded once for all timesteps."""

from collections.abc import Sequence

from monai.networks.nets.controlnet import ControlNetConditioningEmbedding
from torch import Tensor, nn


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

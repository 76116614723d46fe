"""MONAI's MedNeXt as a network that nnU-Net's plans can name and its trainer can train."""

from collections.abc import Sequence

from monai.networks.nets import MedNeXt
from torch import Tensor, nn


class PlannedMedNeXt(nn.Module):
    """MedNeXt (Roy et al., MICCAI 2023) with the arguments that nnU-Net gives a network.

    features: channels of each stage, each twice those before. strides: of each stage, 2 along every axis but in the
    first. blocks: of each stage, in encoder and decoder. deep_supervision: whether the output is a list, the coarser
    scales after the full one, as nnU-Net's loss takes it.
    """

    def __init__(self, input_channels: int, num_classes: int, *, features: Sequence[int],
                 strides: Sequence[Sequence[int]], blocks: int, deep_supervision: bool = False) -> None:
        super().__init__()
        stages = len(features) - 1  # above the bottleneck
        self.network = MedNeXt(
            spatial_dims=len(strides[0]), init_filters=features[0], in_channels=input_channels,
            out_channels=num_classes, kernel_size=3, use_residual_connection=True, deep_supervision=True,
            blocks_down=[blocks] * stages, blocks_bottleneck=blocks, blocks_up=[blocks] * stages)
        self.deep_supervision = deep_supervision

    def forward(self, image: Tensor) -> Tensor | list[Tensor]:
        # MONAI gives all scales in training alone, nnU-Net's validation wants them too. No layer looks at the flag.
        self.network.training = self.deep_supervision
        output: Tensor | tuple[Tensor, ...] = self.network(image)
        return output if isinstance(output, Tensor) else list(output[:-1])  # nnU-Net weighs no bottleneck

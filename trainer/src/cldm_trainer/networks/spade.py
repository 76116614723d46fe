"""SPADE (Park et al., CVPR 2019): images from label maps in one step, by MONAI's network. For comparison."""

import torch
from monai.networks.nets import PatchDiscriminator
from monai.networks.nets.spade_network import SPADEDecoder
from torch import Tensor, nn

from ..config import GanConfig
from .rank import CONVOLUTION


class SpadeGenerator(nn.Module):
    """In a denoiser's place: the first numbers of its noise image are the style, its answer is the clean image.

    MONAI's decoder ends in an image at half the resolution, enlarged. Here it ends in features, and a convolution
    makes the image of these and of the label map.
    """

    condition, null = "mask", None

    def __init__(self, image_channels: int, classes: int, shape: tuple[int, ...], config: GanConfig) -> None:
        super().__init__()
        self.style = config.style
        self.decoder = SPADEDecoder(
            spatial_dims=len(shape), out_channels=config.hidden_channels, label_nc=classes, input_shape=shape,
            channels=list(config.channels), z_dim=config.style, spade_intermediate_channels=config.mask_channels)
        self.head = CONVOLUTION[len(shape)](config.hidden_channels + classes, image_channels, 3, padding=1)

    def forward(self, x: Tensor, timestep: Tensor, condition: Tensor) -> Tensor:
        """x (N, C, *spatial) standard normal numbers, condition (N, K, *spatial) one-hot -> standardised images
        (N, C, *spatial). There is one timestep."""
        features = self.decoder(condition, x.flatten(1)[:, :self.style])
        image: Tensor = self.head(torch.cat([features, condition], dim=1))
        return image


def spade_critic(image_channels: int, classes: int, dims: int, config: GanConfig) -> nn.Module:
    """The PatchGAN that sees an image with its label map; it gives the features of every layer, and last its answer."""
    critic: nn.Module = PatchDiscriminator(spatial_dims=dims, channels=config.critic_channels,
                                           in_channels=image_channels + classes, num_layers_d=3)
    return critic

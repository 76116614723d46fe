"""A small network that reads label maps in standardised image latents."""

from torch import Tensor, nn

from .rank import CONVOLUTION, DepthToSpace
from .small import Block

_FINE = 16  # channels at the label map's resolution


class LatentReader(nn.Module):
    """Standardised latent (N, C, *latent) -> logits of the labels (N, K, *(stride latent))."""

    def __init__(self, latent_channels: int, channels: int, blocks: int, classes: int, stride: int, dims: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dims]
        self.coarse = nn.Sequential(convolution(latent_channels, channels, 3, padding=1),
                                    *(Block(channels, dims) for _ in range(blocks)))
        self.fine = nn.Sequential(nn.SiLU(), convolution(channels, _FINE * stride**dims, 3, padding=1),
                                  DepthToSpace(stride), nn.SiLU(), convolution(_FINE, classes, 3, padding=1))

    def forward(self, latent: Tensor) -> Tensor:
        logits: Tensor = self.fine(self.coarse(latent))
        return logits

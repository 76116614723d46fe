"""Small networks that stand in for a codec's, where few sampling steps leave the codec as most of the bill.

Nearly all of their arithmetic is at the latent's resolution, and they have no norms: what they learn is a known
function, not a model of data.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .rank import CONVOLUTION, DepthToSpace, SpaceToDepth
from .texture import NoTexture, Texture


class Block(nn.Module):
    """x + conv(silu(conv(silu(x))))."""

    def __init__(self, channels: int, dims: int = 2) -> None:
        super().__init__()
        self.first = CONVOLUTION[dims](channels, channels, 3, padding=1)
        self.second = CONVOLUTION[dims](channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + residual


class SmallDecoder(nn.Module):
    """Standardised latent (N, C, *latent) -> mean image in [0, 1], (N, image channels, *(stride latent)); the stride is
    even."""

    def __init__(self, latent_channels: int, channels: int, blocks: int, stride: int, image_channels: int = 1,
                 dims: int = 2) -> None:
        super().__init__()
        half, fine, convolution = channels // 2, 4, CONVOLUTION[dims]
        self.coarse = nn.Sequential(convolution(latent_channels, channels, 3, padding=1),
                                    *(Block(channels, dims) for _ in range(blocks)))
        self.up = nn.Sequential(nn.SiLU(), convolution(channels, half * (stride // 2) ** dims, 3, padding=1),
                                DepthToSpace(stride // 2))
        self.middle = Block(half, dims)
        self.last = nn.Sequential(nn.SiLU(), convolution(half, fine * 2**dims, 3, padding=1), DepthToSpace(2),
                                  nn.SiLU(), convolution(fine, image_channels, 3, padding=1))

    def forward(self, latent: Tensor) -> Tensor:
        image: Tensor = self.last(self.middle(self.up(self.coarse(latent))))
        return image


class SmallTexturedDecoder(nn.Module):
    """Standardised latent and white noise of the image's shape -> image in [0, 1], as `TexturedDecoder`."""

    def __init__(self, decoder: SmallDecoder, texture: Texture | NoTexture) -> None:
        super().__init__()
        self.decoder, self.texture = decoder, texture

    def forward(self, latent: Tensor, texture_noise: Tensor | None = None) -> Tensor:
        mean = self.decoder(latent)
        noise = torch.zeros_like(mean) if texture_noise is None else texture_noise
        return torch.clamp(mean + self.texture(mean, latent, noise), 0.0, 1.0)


class SmallMaskEncoder(nn.Module):
    """One-hot label map (N, K, *spatial) -> standardised mask latent (N, Cm, *(spatial / stride)), as `MaskEncoder`."""

    def __init__(self, classes: int, latent_channels: int, channels: int, blocks: int, stride: int,
                 dims: int = 2) -> None:
        super().__init__()
        convolution = CONVOLUTION[dims]
        self.layers = nn.Sequential(SpaceToDepth(stride), convolution(classes * stride**dims, channels, 3, padding=1),
                                    *(Block(channels, dims) for _ in range(blocks)), nn.SiLU(),
                                    convolution(channels, latent_channels, 3, padding=1))

    def forward(self, one_hot: Tensor) -> Tensor:
        latent: Tensor = self.layers(one_hot)
        return latent

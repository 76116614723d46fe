"""Small networks that stand in for a codec's, where few sampling steps leave the codec as most of the bill.

Nearly all of their arithmetic is at the latent's resolution, and they have no norms: what they learn is a known
function, not a model of data.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .texture import Texture


class Block(nn.Module):
    """x + conv(silu(conv(silu(x))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(functional.silu(self.first(functional.silu(x))))
        return x + residual


class SmallDecoder(nn.Module):
    """Standardised latent (N, C, h, w) -> mean image in [0, 1], (N, 1, stride h, stride w); the stride is even."""

    def __init__(self, latent_channels: int, channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        half, fine = channels // 2, 4
        self.coarse = nn.Sequential(nn.Conv2d(latent_channels, channels, 3, padding=1),
                                    *(Block(channels) for _ in range(blocks)))
        self.up = nn.Sequential(nn.SiLU(), nn.Conv2d(channels, half * (stride // 2) ** 2, 3, padding=1),
                                nn.PixelShuffle(stride // 2))
        self.middle = Block(half)
        self.last = nn.Sequential(nn.SiLU(), nn.Conv2d(half, fine * 4, 3, padding=1), nn.PixelShuffle(2),
                                  nn.SiLU(), nn.Conv2d(fine, 1, 3, padding=1))

    def forward(self, latent: Tensor) -> Tensor:
        image: Tensor = self.last(self.middle(self.up(self.coarse(latent))))
        return image


class SmallTexturedDecoder(nn.Module):
    """Standardised latent and white noise (N, 1, H, W) -> image in [0, 1], as `TexturedDecoder`."""

    def __init__(self, decoder: SmallDecoder, texture: Texture) -> None:
        super().__init__()
        self.decoder, self.texture = decoder, texture

    def forward(self, latent: Tensor, texture_noise: Tensor) -> Tensor:
        mean = self.decoder(latent)
        return torch.clamp(mean + self.texture(mean, latent, texture_noise), 0.0, 1.0)


class SmallMaskEncoder(nn.Module):
    """One-hot label map (N, K, H, W) -> standardised mask latent (N, Cm, H/stride, W/stride), as `MaskEncoder`."""

    def __init__(self, classes: int, latent_channels: int, channels: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.PixelUnshuffle(stride), nn.Conv2d(classes * stride**2, channels, 3, padding=1),
                                    *(Block(channels) for _ in range(blocks)), nn.SiLU(),
                                    nn.Conv2d(channels, latent_channels, 3, padding=1))

    def forward(self, one_hot: Tensor) -> Tensor:
        latent: Tensor = self.layers(one_hot)
        return latent

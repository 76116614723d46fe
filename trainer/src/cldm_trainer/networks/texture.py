"""The texture that a codec leaves out, and the decoder that draws it."""

import torch
from torch import Tensor, nn

from .codec import Affine, Codec


class Texture(nn.Module):
    """Standardised latent -> deviation map of the texture; a fixed kernel that colours white noise.

    The deviation is in units of [0, 1] images, shape (N, 1, H, W). The kernel has unit energy, so that filtered white
    noise has unit variance.
    """

    kernel: Tensor

    def __init__(self, latent_channels: int, channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        if stride % 2:
            raise ValueError(f"stride {stride} is odd; the head ends with a pixel-shuffle by 2")
        self.head = nn.Sequential(
            nn.Conv2d(latent_channels, channels, 3, padding=1), nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.SiLU(),
            nn.Conv2d(channels, (stride // 2) ** 2, 3, padding=1), nn.PixelShuffle(stride // 2),
            nn.Upsample(scale_factor=2, mode="bilinear"),
        )
        kernel = torch.zeros(1, 1, kernel_size, kernel_size)
        kernel[..., kernel_size // 2, kernel_size // 2] = 1.0
        self.register_buffer("kernel", kernel)

    def forward(self, z: Tensor) -> Tensor:
        """The logarithm of the deviation map."""
        log_deviation: Tensor = self.head(z)
        return log_deviation

    def draw(self, z: Tensor, noise: Tensor) -> Tensor:
        """One draw of the texture, to be added to the decoder's mean."""
        coloured = nn.functional.conv2d(noise, self.kernel, padding=self.kernel.shape[-1] // 2)
        return torch.exp(self(z)) * coloured


class TexturedDecoder(nn.Module):
    """Standardised latent and white noise (N, 1, H, W) -> image in [0, 1]: a draw from the decoder's distribution."""

    def __init__(self, codec: Codec, affine: Affine, texture: Texture) -> None:
        super().__init__()
        self.codec, self.affine, self.texture = codec, affine, texture

    def mean(self, latent: Tensor) -> Tensor:
        return 0.5 * (self.codec.decode(self.affine.restore(latent)) + 1.0)

    def forward(self, latent: Tensor, texture_noise: Tensor) -> Tensor:
        return torch.clamp(self.mean(latent) + self.texture.draw(latent, texture_noise), 0.0, 1.0)

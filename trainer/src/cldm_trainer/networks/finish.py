"""The last touch of a decoder: what makes an image look as if a scanner had made it."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .codec import Affine, Codec
from .texture import Texture, TexturedDecoder


class Finish(nn.Module):
    """Mean image, coloured noise, further white noise, and a few numbers of the whole scan -> what is to be added.

    Three convolutions; the numbers of the scan, which stand for its resolution and its noise, scale and shift their
    channels. The last convolution starts at zero, so that an untrained finish changes nothing.
    """

    def __init__(self, channels: int, kernel_size: int, numbers: int) -> None:
        super().__init__()
        half, self.numbers = kernel_size // 2, numbers
        self.first = nn.Conv2d(3, channels, kernel_size, padding=half)
        self.second = nn.Conv2d(channels, channels, kernel_size, padding=half)
        self.last = nn.Conv2d(channels, 1, kernel_size, padding=half)
        self.scans = nn.ModuleList(nn.Linear(numbers, 2 * channels) for _ in range(2))
        assert self.last.bias is not None
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, mean: Tensor, coloured: Tensor, white: Tensor, scan: Tensor) -> Tensor:
        """Images (N, 1, H, W) in [0, 1] and numbers (N, S) -> (N, 1, H, W), in the same units."""
        # All three of the order of 1: noise is a few hundredths of the range of an image.
        hidden = torch.cat([4.0 * mean - 1.0, 40.0 * coloured, white], dim=1)
        for layer, numbers in zip((self.first, self.second), self.scans, strict=True):
            scale, shift = numbers(scan)[..., None, None].chunk(2, dim=1)
            hidden = nn.functional.silu(layer(hidden) * (1.0 + scale) + shift)
        added: Tensor = 0.05 * self.last(hidden)
        return added


class FinishedDecoder(nn.Module):
    """Standardised latent, white noise (N, 2, H, W) and numbers of the scan (N, S) -> image in [0, 1].

    The first channel of the noise is the texture's, the second the finish's; all are independent standard normals.
    """

    def __init__(self, textured: TexturedDecoder, finish: Finish) -> None:
        super().__init__()
        self.textured, self.finish = textured, finish

    @property
    def codec(self) -> Codec:
        return self.textured.codec

    @property
    def affine(self) -> Affine:
        return self.textured.affine

    @property
    def texture(self) -> Texture:
        return self.textured.texture

    def noise(self, latent: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What `forward` takes besides the latent."""
        drawn = self.textured.noise(latent, generator)["texture_noise"]
        scan = torch.randn((len(latent), self.finish.numbers), generator=generator)
        return {"texture_noise": torch.cat([drawn, torch.randn(drawn.shape, generator=generator)], dim=1), "scan": scan}

    def parts(self, latent: Tensor, texture_noise: Tensor, scan: Tensor) -> tuple[Tensor, Tensor]:
        """The mean image, and the draw before it is clipped."""
        mean = self.textured.mean(latent)
        coloured = self.textured.texture.draw(latent, texture_noise[:, :1])
        return mean, mean + coloured + self.finish(mean, coloured, texture_noise[:, 1:], scan)

    def forward(self, latent: Tensor, texture_noise: Tensor, scan: Tensor) -> Tensor:
        return torch.clamp(self.parts(latent, texture_noise, scan)[1], 0.0, 1.0)


class Critic(nn.Module):
    """Image (N, 1, H, W) in [0, 1] -> a verdict for each patch. Normalised over the batch and not within the image,
    for how much of a texture an image holds is a tell-tale."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(pairwise((1, *channels))):
            size = 3 if number else 5
            layers += [nn.Conv2d(before, after, size, stride=2, padding=size // 2), nn.BatchNorm2d(after),
                       nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        verdict: Tensor = self.layers(4.0 * images - 1.0)
        return verdict

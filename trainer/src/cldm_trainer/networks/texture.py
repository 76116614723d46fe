"""The texture that a codec leaves out, the decoder that draws it, and the critic that it is trained against.

What a codec loses is not noise alone. Beside the scanner's grain it is the fine part of every border: ringing that
runs along it, cut off at the resolution of the scan. Noise of the right strength and spectrum in the place of it
speckles the borders, and a small network tells such images from real slices; a critic asks for sharp borders.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .codec import Affine, Codec

_GREY, _IMAGE, _FINE, _LOST = 0.25, 4.0, 20.0, 15.0  # bring [0, 1] images, their details and residuals to about 1
_START = 1e-3
_TINY = 1e-6
Crop = tuple[slice, slice]


class Texture(nn.Module):
    """(decoder's mean, standardised latent, white noise) -> what to add to the mean, all in units of [0, 1] images.

    Works at half the resolution. What is known of the scan as a whole, its resolution and noise, reaches every pixel
    through the mean and deviation of the latent's features.
    """

    def __init__(self, latent_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        if stride % 2:
            raise ValueError(f"stride {stride} is odd; the texture is drawn at half the resolution")
        self.latent = nn.Sequential(nn.Conv2d(latent_channels, channels, 3, padding=1), nn.SiLU(),
                                    nn.Conv2d(channels, channels, 3, padding=1))
        self.whole = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 2 * channels))
        self.up = nn.Upsample(scale_factor=stride // 2, mode="bilinear")
        self.first = nn.Conv2d(2 * 4, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.third = nn.Conv2d(channels, channels, 3, padding=1)
        self.last = nn.Conv2d(channels, 4, 3, padding=1)
        nn.init.normal_(self.last.weight, std=_START)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, mean: Tensor, z: Tensor, noise: Tensor, window: Crop | None = None) -> Tensor:
        """mean, noise (N, 1, H, W) and z (N, C, H/stride, W/stride) -> (N, 1, H, W). window: which pixels of the latent
        `mean` and `noise` stand for; None: all."""
        told = self.latent(z)
        scale, shift = self.whole(_statistics(told))[:, :, None, None].chunk(2, dim=1)
        if window is not None:
            told = told[:, :, window[0], window[1]]
        seen = torch.cat([functional.pixel_unshuffle(_IMAGE * (mean - _GREY), 2),
                          functional.pixel_unshuffle(noise, 2)], dim=1)
        h = functional.silu(self.first(seen) + self.up(told))
        h = h + functional.silu(self.second(h) * (1.0 + scale) + shift)
        h = h + functional.silu(self.third(h))
        return 0.1 * functional.pixel_shuffle(self.last(h), 2)


class TextureCritic(nn.Module):
    """(image, its decoder's mean) -> one number an image, and one for each patch of it: high for real ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = ((3, channels, 3, 1), (channels, channels, 4, 2), (channels, 2 * channels, 4, 2),
                  (2 * channels, 2 * channels, 3, 1))
        layers: list[nn.Module] = []
        for before, after, size, stride in widths:
            layers += [nn.Conv2d(before, after, size, stride, padding=size // 2), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.patches = nn.Conv2d(2 * channels, 1, 1)
        self.whole = nn.Sequential(nn.Linear(4 * channels, 2 * channels), nn.LeakyReLU(0.2), nn.Linear(2 * channels, 1))

    @staticmethod
    def see(image: Tensor, mean: Tensor) -> Tensor:
        """What the critic looks at: the image, its fine details, and what it has beyond the mean, (N, 3, H, W)."""
        fine = image - functional.avg_pool2d(functional.pad(image, [1] * 4, mode="reflect"), 3, stride=1)
        return torch.cat([_IMAGE * (image - _GREY), _FINE * fine, _LOST * (image - mean)], dim=1)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What `see` gives -> (N,) and (N, patches)."""
        h = self.features(seen)
        patches = self.patches(h).flatten(1)
        return self.whole(_statistics(h))[:, 0] + patches.mean(dim=1), patches


class TexturedDecoder(nn.Module):
    """Standardised latent and white noise (N, 1, H, W) -> image in [0, 1]: a draw from the decoder's distribution."""

    def __init__(self, codec: Codec, affine: Affine, texture: Texture) -> None:
        super().__init__()
        self.codec, self.affine, self.texture = codec, affine, texture

    def mean(self, latent: Tensor) -> Tensor:
        return 0.5 * (self.codec.decode(self.affine.restore(latent)) + 1.0)

    def forward(self, latent: Tensor, texture_noise: Tensor) -> Tensor:
        mean = self.mean(latent)
        return torch.clamp(mean + self.texture(mean, latent, texture_noise), 0.0, 1.0)


def _statistics(h: Tensor) -> Tensor:
    """(N, C, H, W) -> mean and deviation over the pixels, (N, 2 C)."""
    mean = h.mean(dim=(2, 3))
    deviation = ((h - mean[:, :, None, None]).square().mean(dim=(2, 3)) + _TINY).sqrt()
    return torch.cat([mean, deviation], dim=1)

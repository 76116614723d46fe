"""The texture that a codec leaves out, the decoder that draws it, and the critic that it is trained against.

A codec loses more than noise. It loses the scanner's grain and the fine part of every border: ringing along the border,
cut off at the resolution of the scan. Noise of the right strength and spectrum speckles the borders, and a small
network distinguishes such images from the cohort's slices. A critic asks for sharp borders.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from .affine import Affine
from .codec import Codec
from .rank import CONVOLUTION, SMOOTH, depth_to_space, per_channel, space_to_depth, spatial_axes

_GREY, _IMAGE, _FINE, _LOST = 0.25, 4.0, 20.0, 15.0  # bring [0, 1] images, their details and residuals to about 1
_START = 1e-3
_TINY = 1e-6
Crop = tuple[slice, ...]


class Texture(nn.Module):
    """(decoder's mean, standardised latent, white noise) -> what to add to the mean, all in units of [0, 1] images.

    Works at half the resolution. What is known of the scan as a whole, its resolution and noise, reaches every pixel
    through the mean and deviation of the latent's features.
    """

    def __init__(self, latent_channels: int, channels: int, stride: int, image_channels: int = 1,
                 dims: int = 2) -> None:
        super().__init__()
        if stride % 2:
            raise ValueError(f"stride {stride} is odd; the texture is drawn at half the resolution")
        convolution, folded = CONVOLUTION[dims], image_channels * 2**dims
        self.latent = nn.Sequential(convolution(latent_channels, channels, 3, padding=1), nn.SiLU(),
                                    convolution(channels, channels, 3, padding=1))
        self.whole = nn.Sequential(nn.Linear(2 * channels, channels), nn.SiLU(), nn.Linear(channels, 2 * channels))
        self.up = nn.Upsample(scale_factor=stride // 2, mode=SMOOTH[dims])
        self.first = convolution(2 * folded, channels, 3, padding=1)
        self.second = convolution(channels, channels, 3, padding=1)
        self.third = convolution(channels, channels, 3, padding=1)
        self.last = convolution(channels, folded, 3, padding=1)
        nn.init.normal_(self.last.weight, std=_START)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, mean: Tensor, z: Tensor, noise: Tensor, window: Crop | None = None) -> Tensor:
        """mean, noise (N, C, *spatial) and z (N, Cz, *(spatial / stride)) -> (N, C, *spatial). window: which pixels of
        the latent `mean` and `noise` stand for; None: all."""
        features = self.latent(z)
        scale, shift = per_channel(self.whole(_statistics(features)), z.ndim - 2).chunk(2, dim=1)
        if window is not None:
            features = features[(slice(None), slice(None), *window)]
        seen = torch.cat([space_to_depth(_IMAGE * (mean - _GREY), 2), space_to_depth(noise, 2)], dim=1)
        h = functional.silu(self.first(seen) + self.up(features))
        h = h + functional.silu(self.second(h) * (1.0 + scale) + shift)
        h = h + functional.silu(self.third(h))
        return 0.1 * depth_to_space(self.last(h), 2)


class NoTexture(nn.Module):
    """Adds nothing: for a codec that leaves out nothing but noise, which the last graph applies."""

    def forward(self, mean: Tensor, z: Tensor, noise: Tensor, window: Crop | None = None) -> Tensor:
        """As `Texture`."""
        return torch.zeros_like(mean)


class TextureCritic(nn.Module):
    """(image, its decoder's mean) -> one number an image, and one for each patch of it: high for the cohort's."""

    def __init__(self, channels: int, image_channels: int = 1, dims: int = 2) -> None:
        super().__init__()
        convolution = CONVOLUTION[dims]
        widths = ((3 * image_channels, channels, 3, 1), (channels, channels, 4, 2), (channels, 2 * channels, 4, 2),
                  (2 * channels, 2 * channels, 3, 1))
        layers: list[nn.Module] = []
        for before, after, size, stride in widths:
            layers += [convolution(before, after, size, stride, padding=size // 2), nn.LeakyReLU(0.2)]
        self.features = nn.Sequential(*layers)
        self.patches = convolution(2 * channels, 1, 1)
        self.whole = nn.Sequential(nn.Linear(4 * channels, 2 * channels), nn.LeakyReLU(0.2), nn.Linear(2 * channels, 1))

    @staticmethod
    def see(image: Tensor, mean: Tensor) -> Tensor:
        """What the critic looks at: the image, its fine details, and what it has beyond the mean: (N, 3 C, *spatial).
        """
        fine = image - smoothed(image, 3)
        return torch.cat([_IMAGE * (image - _GREY), _FINE * fine, _LOST * (image - mean)], dim=1)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """What `see` gives -> (N,) and (N, patches)."""
        h = self.features(seen)
        patches = self.patches(h).flatten(1)
        return self.whole(_statistics(h))[:, 0] + patches.mean(dim=1), patches


class TexturedDecoder(nn.Module):
    """Standardised latent and white noise of the image's shape -> image in [0, 1]: a draw from the decoder's
    distribution. Without noise: an image that a scanner adds its noise to."""

    def __init__(self, codec: Codec, affine: Affine, texture: Texture | NoTexture) -> None:
        super().__init__()
        self.codec, self.affine, self.texture = codec, affine, texture

    def mean(self, latent: Tensor) -> Tensor:
        return 0.5 * (self.codec.decode(self.affine.restore(latent)) + 1.0)

    def forward(self, latent: Tensor, texture_noise: Tensor | None = None) -> Tensor:
        mean = self.mean(latent)
        noise = torch.zeros_like(mean) if texture_noise is None else texture_noise
        return torch.clamp(mean + self.texture(mean, latent, noise), 0.0, 1.0)


def smoothed(image: Tensor, size: int) -> Tensor:
    """Averages over squares or cubes of an odd size in pixels, mirrored at the border; (N, C, *spatial) as it came."""
    dims = image.ndim - 2
    padded = functional.pad(image, [size // 2] * 2 * dims, mode="reflect")
    pool = functional.avg_pool2d if dims == 2 else functional.avg_pool3d
    return pool(padded, size, stride=1)


def _statistics(h: Tensor) -> Tensor:
    """(N, C, *spatial) -> mean and deviation over the places, (N, 2 C)."""
    axes = spatial_axes(h)
    mean = h.mean(dim=axes)
    deviation = ((h - per_channel(mean, len(axes))).square().mean(dim=axes) + _TINY).sqrt()
    return torch.cat([mean, deviation], dim=1)

"""A convolutional VAE from label maps to a short vector, and the condition that it makes."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..config import LabelVaeConfig
from .rank import CONVOLUTION, MAX_POOL, DepthToSpace, SpaceToDepth, stride_sizes
from .tokens import AttributeTokens


class LabelVae(nn.Module):
    """One-hot label map -> d numbers -> class logits (the VAE of the cLDM paper, with one channel for each label).

    Encoder: levels of [conv3, conv3, LeakyReLU, maxpool], linear to d, then linear mean and log-variance. Decoder: the
    mirror image, with nearest upsampling. With a patch of p the levels see p x p pixels as channels of one.
    Every size of `shape` must be divisible by p * 2^levels.
    """

    def __init__(self, classes: int, shape: Sequence[int], config: LabelVaeConfig) -> None:
        super().__init__()
        channels, d, dims = config.channels, config.dimensions, len(shape)
        pixels, sizes = config.patch**dims, stride_sizes(shape, config.patch * 2 ** len(channels))
        self.encoder, self.decoder = nn.Sequential(SpaceToDepth(config.patch)), nn.Sequential()
        for before, after in zip((classes * pixels, *channels), channels, strict=False):
            self.encoder.extend([*_convolutions(before, after, dims), MAX_POOL[dims](2)])
        flat = channels[-1] * math.prod(sizes)
        self.encoder.extend([nn.Flatten(), nn.Linear(flat, d)])
        self.mean, self.log_variance = nn.Linear(d, d), nn.Linear(d, d)
        self.decoder.extend([nn.Linear(d, flat), nn.Unflatten(1, (channels[-1], *sizes))])
        for before, after in zip((channels[-1], *reversed(channels)), reversed(channels), strict=False):
            self.decoder.extend([nn.Upsample(scale_factor=2, mode="nearest"), *_convolutions(before, after, dims)])
        self.decoder.extend([CONVOLUTION[dims](channels[0], classes * pixels, 3, padding=1),
                             DepthToSpace(config.patch)])

    def encode(self, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, *spatial) -> mean and deviation, each (N, d)."""
        hidden = self.encoder(one_hot)
        return self.mean(hidden), torch.exp(0.5 * self.log_variance(hidden).clamp(-20.0, 10.0))

    def decode(self, z: Tensor) -> Tensor:
        """(N, d) -> logits (N, K, *spatial)."""
        logits: Tensor = self.decoder(z)
        return logits

    def forward(self, one_hot: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits from z = mean + deviation * noise, then z, mean and deviation."""
        mean, deviation = self.encode(one_hot)
        z = mean + deviation * noise
        return self.decode(z), z, mean, deviation


def _convolutions(before: int, after: int, dims: int) -> list[nn.Module]:
    convolution = CONVOLUTION[dims]
    return [convolution(before, after, 3, padding=1), convolution(after, after, 3, padding=1), nn.LeakyReLU()]


class LabelVectorEncoder(nn.Module):
    """One-hot label map -> mean of the VAE's latent vector -> tokens (N, d, W), one for each dimension."""

    def __init__(self, vae: LabelVae, tokens: AttributeTokens) -> None:
        super().__init__()
        self.vae, self.tokens = vae, tokens

    def forward(self, one_hot: Tensor) -> Tensor:
        mean = self.vae.encode(one_hot)[0]
        tokens: Tensor = self.tokens(mean, torch.ones_like(mean))
        return tokens

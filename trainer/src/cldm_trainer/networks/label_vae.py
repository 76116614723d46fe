"""A convolutional VAE from label maps to a short vector, and the condition that it makes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..config import LabelVaeConfig
from .tokens import AttributeTokens


class LabelVae(nn.Module):
    """One-hot label map -> d numbers -> class logits (the VAE of the cLDM paper, with one channel for each label).

    Encoder: levels of [conv3, conv3, LeakyReLU, maxpool], linear to d, then linear mean and log-variance. Decoder: the
    mirror image, with nearest upsampling. With a patch of p the levels see p x p pixels as channels of one.
    H and W must be divisible by p * 2^levels.
    """

    def __init__(self, classes: int, shape: Sequence[int], config: LabelVaeConfig) -> None:
        super().__init__()
        channels, d = config.channels, config.dimensions
        pixels, stride = config.patch ** 2, config.patch * 2 ** len(channels)
        height, width = (size // stride for size in shape)
        if (height * stride, width * stride) != tuple(shape):
            raise ValueError(f"label maps of {tuple(shape)} pixels cannot be divided by {stride}")
        self.encoder, self.decoder = nn.Sequential(nn.PixelUnshuffle(config.patch)), nn.Sequential()
        for before, after in zip((classes * pixels, *channels), channels, strict=False):
            self.encoder.extend([*_convolutions(before, after), nn.MaxPool2d(2)])
        flat = channels[-1] * height * width
        self.encoder.extend([nn.Flatten(), nn.Linear(flat, d)])
        self.mean, self.log_variance = nn.Linear(d, d), nn.Linear(d, d)
        self.decoder.extend([nn.Linear(d, flat), nn.Unflatten(1, (channels[-1], height, width))])
        for before, after in zip((channels[-1], *reversed(channels)), reversed(channels), strict=False):
            self.decoder.extend([nn.Upsample(scale_factor=2, mode="nearest"), *_convolutions(before, after)])
        self.decoder.extend([nn.Conv2d(channels[0], classes * pixels, 3, padding=1), nn.PixelShuffle(config.patch)])

    def encode(self, one_hot: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, H, W) -> mean and deviation, each (N, d)."""
        hidden = self.encoder(one_hot)
        return self.mean(hidden), torch.exp(0.5 * self.log_variance(hidden).clamp(-20.0, 10.0))

    def decode(self, z: Tensor) -> Tensor:
        """(N, d) -> logits (N, K, H, W)."""
        logits: Tensor = self.decoder(z)
        return logits

    def forward(self, one_hot: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits from z = mean + deviation * noise, then z, mean and deviation."""
        mean, deviation = self.encode(one_hot)
        z = mean + deviation * noise
        return self.decode(z), z, mean, deviation


def _convolutions(before: int, after: int) -> list[nn.Module]:
    return [nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1), nn.LeakyReLU()]


class LabelVectorEncoder(nn.Module):
    """One-hot label map -> mean of the VAE's latent vector -> tokens (N, d, W), one for each dimension."""

    def __init__(self, vae: LabelVae, tokens: AttributeTokens) -> None:
        super().__init__()
        self.vae, self.tokens = vae, tokens

    def forward(self, one_hot: Tensor) -> Tensor:
        mean = self.vae.encode(one_hot)[0]
        tokens: Tensor = self.tokens(mean, torch.ones_like(mean))
        return tokens

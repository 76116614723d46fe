"""The codec that is none: diffusion on the pixels themselves, and on label maps at full resolution."""

import torch
from torch import Tensor, nn

from .affine import Affine


class IdentityCodec(nn.Module):
    """Images (N, C, *spatial) in [-1, 1] as their own latents. It has nothing to train."""

    spread: Tensor

    def __init__(self, channels: int, dims: int = 2) -> None:
        super().__init__()
        self.image_channels = self.latent_channels = channels
        self.dims, self.stride = dims, 1
        self.register_buffer("spread", torch.zeros(1, channels, *(1,) * dims), persistent=False)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The images, and their deviation (1, C, 1, ...), which is 0."""
        return x, self.spread

    def decode(self, z: Tensor) -> Tensor:
        return z


class PlainDecoder(nn.Module):
    """Standardised latent of `IdentityCodec` -> image in [0, 1]."""

    def __init__(self, affine: Affine) -> None:
        super().__init__()
        self.affine = affine

    def forward(self, latent: Tensor) -> Tensor:
        return torch.clamp(0.5 * (self.affine.restore(latent) + 1.0), 0.0, 1.0)


class OneHotEncoder(nn.Module):
    """One-hot label map (N, K, *spatial) -> itself: what the denoiser takes at full resolution."""

    def forward(self, one_hot: Tensor) -> Tensor:
        return 1.0 * one_hot


class LabelValueEncoder(nn.Module):
    """One-hot label map (N, K, *spatial) -> label / 255 in one channel (N, 1, *spatial). It has nothing to train."""

    values: Tensor
    shape = (1,)

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.arange(classes, dtype=torch.float32) / 255.0, persistent=False)

    def forward(self, one_hot: Tensor) -> Tensor:
        weights = self.values.reshape(1, -1, *(1,) * (one_hot.ndim - 2))
        return (one_hot * weights).sum(dim=1, keepdim=True)

"""Standardisation of latents: per channel, (z - mean) / std."""

from torch import Tensor, nn


class Affine(nn.Module):
    """Per-channel mean and std of raw latents. Kept as buffers, so that they travel with the weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, dims: int = 2) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, *(1,) * dims).clone())
        self.register_buffer("std", std.reshape(1, -1, *(1,) * dims).clone())

    def standardise(self, z: Tensor) -> Tensor:
        return (z - self.mean) / self.std

    def restore(self, z: Tensor) -> Tensor:
        return z * self.std + self.mean

"""Attributes of images as planes beside the latent of the label map: what the image looks like, where it is drawn."""

import torch
from torch import Tensor, nn

from .codec import MaskEncoder
from .identity import OneHotEncoder


class AttributePlanes(nn.Module):
    """Latent of the label map (N, C, *latent), attributes and where they are defined (N, A) -> (N, C + 2 B, *latent):
    the latent, the last B attributes, standardised, 0 where undefined, and where they are defined, each the same at
    every place. `mean` and `std` (B,) are those of the training samples' defined values."""

    mean: Tensor
    std: Tensor

    def __init__(self, latent_channels: int, planes: int) -> None:
        super().__init__()
        self.shape = (latent_channels + 2 * planes,)
        self.register_buffer("mean", torch.zeros(planes))
        self.register_buffer("std", torch.ones(planes))

    def standardise_by(self, values: Tensor, defined: Tensor) -> None:
        """Take mean and deviation of the training samples' values (N, A) where `defined` (N, A) is 1."""
        first = values.shape[1] - len(self.mean)
        for plane in range(len(self.mean)):
            column = values[:, first + plane][defined[:, first + plane] > 0].double()
            if len(column):
                deviation = column.std(correction=0)
                self.mean[plane], self.std[plane] = column.mean(), deviation if deviation > 1e-6 else 1.0

    def forward(self, mask_latent: Tensor, attributes: Tensor, defined: Tensor) -> Tensor:
        planes = len(self.mean)
        known = defined[:, -planes:]
        scaled = (attributes[:, -planes:] - self.mean) / self.std * known
        numbers = torch.cat([scaled, known], dim=1)
        spread = numbers.reshape(*numbers.shape, *(1,) * (mask_latent.ndim - 2))
        return torch.cat([mask_latent, spread.expand(-1, -1, *mask_latent.shape[2:])], dim=1)


class MaskAndAttributesEncoder(nn.Module):
    """One-hot label map, attributes and where they are defined -> what `AttributePlanes` gives."""

    def __init__(self, masks: MaskEncoder | OneHotEncoder, planes: AttributePlanes) -> None:
        super().__init__()
        self.masks, self.planes = masks, planes

    def forward(self, one_hot: Tensor, attributes: Tensor, defined: Tensor) -> Tensor:
        condition: Tensor = self.planes(self.masks(one_hot), attributes, defined)
        return condition

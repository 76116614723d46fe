"""Attributes of images as planes beside the latent of the label map: what the image looks like, where it is drawn."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .codec import MaskEncoder
from .identity import OneHotEncoder
from .signal import SignalUnits


class AttributePlanes(nn.Module):
    """Latent of the label map (N, C, *latent), the one-hot map (N, K, *spatial), attributes and where they are defined
    (N, A) -> (N, C + 2 B, *latent): the latent, the last B attributes, standardised, 0 where undefined, and where they
    are defined. Each number stands where its region lies, times the region's share of the place: a number that is the
    same at every place would be lost in the U-Net's group normalisation.

    regions: for each of the B attributes the labels that decide it; none: it stands at every place. stride: pixels to
    each side of a place. `mean` and `std` (B,) are those of the training samples' defined values.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, latent_channels: int, regions: Sequence[Sequence[int]], stride: int) -> None:
        super().__init__()
        self.regions, self.stride = [list(labels) for labels in regions], stride
        self.shape = (latent_channels + 2 * len(regions),)
        self.register_buffer("mean", torch.zeros(len(regions)))
        self.register_buffer("std", torch.ones(len(regions)))

    def standardise_by(self, values: Tensor, defined: Tensor) -> None:
        """Take mean and deviation of the training samples' values (N, A) where `defined` (N, A) is 1."""
        first = values.shape[1] - len(self.mean)
        for plane in range(len(self.mean)):
            column = values[:, first + plane][defined[:, first + plane] > 0].double()
            if len(column):
                deviation = column.std(correction=0)
                self.mean[plane], self.std[plane] = column.mean(), deviation if deviation > 1e-6 else 1.0

    def forward(self, mask_latent: Tensor, one_hot: Tensor, attributes: Tensor, defined: Tensor) -> Tensor:
        planes = len(self.mean)
        known = defined[:, -planes:]
        scaled = (attributes[:, -planes:] - self.mean) / self.std * known
        shares, one = self.shares(one_hot), (1,) * (mask_latent.ndim - 2)
        numbers = torch.cat([scaled, known], dim=1)
        return torch.cat([mask_latent, numbers.reshape(*numbers.shape, *one) * torch.cat([shares, shares], 1)], dim=1)

    def shares(self, one_hot: Tensor) -> Tensor:
        """(N, B, *latent): the share of each place that belongs to each attribute's region."""
        inside = [one_hot[:, labels].sum(1) if labels else torch.ones_like(one_hot[:, 0]) for labels in self.regions]
        pool = functional.avg_pool2d if one_hot.ndim == 4 else functional.avg_pool3d
        return pool(torch.stack(inside, dim=1), self.stride)


class MaskAndAttributesEncoder(nn.Module):
    """One-hot label map, attributes and where they are defined -> what `AttributePlanes` gives for the attributes in
    `units`."""

    def __init__(self, masks: MaskEncoder | OneHotEncoder, planes: AttributePlanes, units: SignalUnits) -> None:
        super().__init__()
        self.masks, self.planes, self.units = masks, planes, units

    def forward(self, one_hot: Tensor, attributes: Tensor, defined: Tensor) -> Tensor:
        condition: Tensor = self.planes(self.masks(one_hot), one_hot, *self.units(attributes, defined))
        return condition

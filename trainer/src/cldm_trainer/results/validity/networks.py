"""The small segmentation networks of recipes: MONAI's, optionally on an image folded into channels."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cldm_runtime.errors import InputError

from ...config.validity import SegmenterRecipe

Channels = tuple[int, int, int]  # axes, channels in, channels out


def _unet(recipe: SegmenterRecipe, sizes: Channels) -> nn.Module:
    from monai.networks.nets import UNet

    net: nn.Module = UNet(*sizes, recipe.channels, _strides(recipe), num_res_units=1)
    return net


def _attention_unet(recipe: SegmenterRecipe, sizes: Channels) -> nn.Module:
    from monai.networks.nets import AttentionUnet

    net: nn.Module = AttentionUnet(*sizes, recipe.channels, _strides(recipe))
    return net


def _segresnet(recipe: SegmenterRecipe, sizes: Channels) -> nn.Module:
    from monai.networks.nets import SegResNet

    levels = len(recipe.channels)
    net: nn.Module = SegResNet(sizes[0], recipe.channels[0], sizes[1], sizes[2], blocks_down=(1,) * levels,
                               blocks_up=(1,) * (levels - 1))
    return net


def _strides(recipe: SegmenterRecipe) -> tuple[int, ...]:
    return (2,) * (len(recipe.channels) - 1)


NETWORKS: Mapping[str, Callable[[SegmenterRecipe, Channels], nn.Module]] = {
    "unet": _unet, "attention-unet": _attention_unet, "segresnet": _segresnet}


class FoldedNetwork(nn.Module):
    """Images (N, C, *spatial) to logits (N, K, *spatial). With `patch` above 1 the network sees each patch of pixels as
    so many more channels, and its answer is unfolded."""

    def __init__(self, recipe: SegmenterRecipe, axes: int, channels: int, classes: int) -> None:
        super().__init__()
        folded = recipe.patch**axes
        self.fold: nn.Module = nn.PixelUnshuffle(recipe.patch) if folded > 1 else nn.Identity()
        self.unfold: nn.Module = nn.PixelShuffle(recipe.patch) if folded > 1 else nn.Identity()
        self.network = NETWORKS[recipe.network](recipe, (axes, channels * folded, classes * folded))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.unfold(self.network(self.fold(images)))
        return logits


def network_faults(where: str, recipe: SegmenterRecipe, shape: tuple[int, ...]) -> list[str]:
    """What keeps a recipe's network from segmenting images of this shape (*spatial). where: its section."""
    faults = []
    if recipe.network not in NETWORKS:
        faults.append(f"{where}.network: found {recipe.network!r}, expected one of {', '.join(NETWORKS)}.")
    if len(recipe.channels) < 2 or min(recipe.channels, default=0) < 1:
        faults.append(f"{where}.channels: found {list(recipe.channels)}, expected two or more positive numbers.")
    if recipe.patch < 1 or (recipe.patch > 1 and len(shape) != 2):
        faults.append(f"{where}.patch: found {recipe.patch}, expected 1, or more for slices.")
    divisor = max(recipe.patch, 1) * 2 ** (len(recipe.channels) - 1)
    if any(size % divisor for size in shape):
        faults.append(f"{where}: images of {shape} cannot be halved {len(recipe.channels) - 1} times with patch "
                      f"{recipe.patch}. Use fewer channels, or a smaller patch.")
    if recipe.network == "segresnet" and recipe.channels and recipe.channels[0] % 8:
        faults.append(f"{where}.channels: found {recipe.channels[0]} first, expected a multiple of 8 for segresnet.")
    return faults


@torch.no_grad()
def label_maps(network: nn.Module, images: Tensor, batch: int = 16) -> Any:
    """(N, *spatial) uint8 numpy label maps of images (N, C, *spatial)."""
    parts = [network(images[start:start + batch]).argmax(dim=1).to(torch.uint8)
             for start in range(0, len(images), batch)]
    return torch.cat(parts).numpy()


def check_networks(recipes: Mapping[str, SegmenterRecipe], shape: tuple[int, ...]) -> None:
    """Raises InputError that lists what is wrong with the recipes, by the names of their sections."""
    faults = [fault for name, recipe in recipes.items() if not recipe.bundle
              for fault in network_faults(name, recipe, shape)]
    faults += [f"{name}.share: found {recipe.share:g}, expected above 0, at most 1."
               for name, recipe in recipes.items() if not 0 < recipe.share <= 1]
    faults += [f"{name}.{key}: found {getattr(recipe, key):g}, expected above 0."
               for name, recipe in recipes.items() for key in ("steps", "batch_size", "learning_rate", "gamma")
               if getattr(recipe, key) <= 0]
    if faults:
        raise InputError("\n  - ".join(["the segmenters cannot be trained:", *faults]))

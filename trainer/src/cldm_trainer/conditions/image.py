"""Given images through a ControlNet at a frozen unconditional U-Net that draws label maps (LDM-seg)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cldm_runtime.errors import InputError

from ..config import Config
from .control import Controlled
from .facts import ConditionFacts
from .kind import SUBSETS, Design, Table, Trained

if TYPE_CHECKING:
    from torch import nn


class ImageCondition(Controlled):
    name = "image"
    draws_labels = True
    facts = ConditionFacts(
        "image", "spatial", "images", "image_encoder", "control", "embedded image; the same at every timestep",
        "Label maps from images: unconditional latent diffusion, controlled by a ControlNet on the image.")

    def stride(self, config: Config) -> int:
        return config.control.patch * super().stride(config)

    def faults(self, config: Config) -> list[str]:
        faults = super().faults(config)
        if config.run.output != "labels":
            faults.append(f"diffusion.condition: found 'image' where run.output is {config.run.output!r}, expected "
                          "labels: the images are given.")
        if config.control.image_channels < 1 or config.control.patch < 1:
            faults.append(f"control: found {config.control.image_channels} image_channels and patch "
                          f"{config.control.patch}, expected 1 or more.")
        return faults

    def learned(self, design: Design) -> nn.Module:
        from ..networks import ControlImageEncoder

        control = design.control
        return ControlImageEncoder(control.image_channels, control.patch, control.channels,
                                   design.diffusion.channels[0], design.dims)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        import torch

        tables = {subset: Table((trained.images(subset),), torch.Tensor.float) for subset in SUBSETS}
        found, expected = tables["train"].columns[0].shape[1], design.control.image_channels
        if found != expected:
            raise InputError(f"control.image_channels: found {expected}, but the cohort's images have {found} "
                             f"channels. Set it to {found}.")
        return tables

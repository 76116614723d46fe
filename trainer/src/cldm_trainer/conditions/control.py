"""The label map through a ControlNet at a frozen unconditional U-Net (strategy 2 of the cLDM paper)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from cldm_runtime.files.records import plain

from ..config import Config
from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained

if TYPE_CHECKING:
    from torch import nn

    from ..networks import Denoiser


class Controlled(Condition):
    """A condition through a ControlNet: its encoder leads to the latent's resolution."""

    way = "control"

    def stride(self, config: Config) -> int:
        """By which the condition's encoder divides the resolution."""
        return int(2 ** (len(config.control.channels) - 1))

    def faults(self, config: Config) -> list[str]:
        faults, halved, stride = [], self.stride(config), config.image_codec.stride
        if config.diffusion.patch > 1:
            faults.append(f"diffusion.patch: found {config.diffusion.patch}, expected 1 for the condition {self.name}.")
        if not config.control.base:
            faults.append("control.base: empty, expected the name of a run with diffusion.condition = \"none\".")
        if halved != stride:
            faults.append(f"control.channels: {len(config.control.channels)} levels halve to 1 / {halved}, the image "
                          f"codec to 1 / {stride}.")
        return faults

    def depends_on(self, design: Design, trained: Trained) -> dict[str, Any]:
        trained.base()  # says what to run where there is none
        return {"control": plain(design.control), "base": trained.base_digest()}

    def start(self, denoiser: Denoiser, trained: Trained) -> None:
        denoiser.control(trained.base())

    def parent(self, design: Design) -> str:
        return design.control.base


class ControlCondition(Controlled):
    name = "control"
    facts = ConditionFacts(
        "control", "spatial", "masks", "control_encoder", "control", "embedded label map; the same at every timestep",
        "Images from label maps: unconditional latent diffusion, controlled by a ControlNet on the label map.")

    def learned(self, design: Design) -> nn.Module:
        from ..networks import ControlEncoder

        return ControlEncoder(design.classes, design.control.channels, design.diffusion.channels[0], design.dims)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        from ..training.batches import one_hot

        return {subset: Table((trained.label_maps(subset),), partial(one_hot, classes=design.classes))
                for subset in SUBSETS}

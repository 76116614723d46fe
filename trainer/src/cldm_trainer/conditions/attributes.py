"""The attributes of the label map, one token for each in cross-attention (strategy 1.1 of the cLDM paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cldm_runtime.bundle.declarations import find_domain

from ..config import Config
from .facts import ConditionFacts
from .kind import Design, OfTokens, Table, Trained, number_tables

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class AttributeCondition(OfTokens):
    name = "attributes"
    draws_labels = True
    facts = ConditionFacts(
        "attributes", "vector", "attributes", "attribute_encoder", "context", "one token for each attribute",
        "Images from attributes: latent diffusion, conditioned on one token for each attribute by cross-attention.")

    def learned(self, design: Design) -> nn.Module:
        from ..networks import AttributeTokens

        count = len(design.domain.attributes) + len(design.diffusion.image_attributes)
        return AttributeTokens(count, design.diffusion.tokens, design.diffusion.context_width)

    def faults(self, config: Config) -> list[str]:
        return [*super().faults(config), *unknown_images(config)]

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        images = design.told_attributes
        depends = {"image_attributes": ",".join(images)} if images else {}
        return number_tables(trained.kept(self.name, trained.attributes, depends))

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Some attributes count as undefined: what is unknown at generation, such as the position of a single slice,
        must have been unknown in training too."""
        return hidden(sources, share, generator)

    def exported(self, design: Design, learned: nn.Module | None) -> nn.Module:
        from ..networks.signal import InSignalUnits

        assert learned is not None
        return InSignalUnits(design.factors, learned) if any(design.factors) else learned

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module:
        return self.exported(trained.design, learned)


def hidden(sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
    """Values and where they are defined, a share of which becomes undefined."""
    import torch

    if share == 0.0:
        return sources
    attributes, defined = sources
    visible = defined * (torch.rand(defined.shape, generator=generator) >= share)
    return attributes * visible, visible


def unknown_images(config: Config) -> list[str]:
    """A fault for attributes of images that the domain does not have."""
    known = find_domain(config.cohort.domain).image_attribute_names
    unknown = [name for name in config.diffusion.image_attributes if name not in known]
    return [f"diffusion.image_attributes: found {', '.join(unknown)}, expected some of: {', '.join(known) or 'none'}."
            ] if unknown else []

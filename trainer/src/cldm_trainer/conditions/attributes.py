"""The attributes of the label map, one token for each in cross-attention (strategy 1.1 of the cLDM paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .facts import ConditionFacts
from .kind import Design, OfTokens, Table, Trained, number_tables

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class AttributeCondition(OfTokens):
    name = "attributes"
    facts = ConditionFacts(
        "attributes", "vector", "attributes", "attribute_encoder", "context", "one token for each attribute",
        "Images from attributes: latent diffusion, conditioned on one token for each attribute by cross-attention.")

    def learned(self, design: Design) -> nn.Module:
        from ..networks import AttributeTokens

        return AttributeTokens(len(design.domain.attributes), design.diffusion.tokens, design.diffusion.context_width)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        return number_tables(trained.kept(self.name, trained.attributes, {}))

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Some attributes count as undefined: what is unknown at generation, such as the position of a single slice,
        must have been unknown in training too."""
        import torch

        if share == 0.0:
            return sources
        attributes, defined = sources
        visible = defined * (torch.rand(defined.shape, generator=generator) >= share)
        return attributes * visible, visible

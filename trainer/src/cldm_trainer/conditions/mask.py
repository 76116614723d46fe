"""The latent of the label map, concatenated with the noisy latent (strategy 3 of the cLDM paper)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained

if TYPE_CHECKING:
    from torch import nn


class MaskCondition(Condition):
    name, way, adoptable = "mask", "channels", True
    codecs, small_stage = ("mask-codec",), "small-mask-encoder"
    facts = ConditionFacts(
        "mask", "spatial", "masks", "mask_encoder", "mask_latent", "mean of the standardised latent of the mask codec",
        "Images from label maps: latent diffusion, conditioned on the latent of the label map.")

    def shape(self, design: Design) -> tuple[int, ...]:
        return (design.codecs.mask.latent_channels,)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        affine = trained.mask_affine()
        return {subset: Table((trained.mask_latents(subset),), lambda raw: affine.standardise(raw.float()))
                for subset in SUBSETS}

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module | None:
        from ..networks import MaskEncoder

        return MaskEncoder(trained.mask_codec(), trained.mask_affine())

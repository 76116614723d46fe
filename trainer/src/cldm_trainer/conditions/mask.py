"""The latent of the label map, concatenated with the noisy latent (strategy 3 of the cLDM paper). Where the codecs are
identities: the one-hot label map, concatenated with the noisy image (Konz et al., arXiv 2402.05210)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..networks import MaskEncoder, OneHotEncoder


class MaskCondition(Condition):
    name, way, adoptable = "mask", "channels", True
    codecs, small_stage = ("mask-codec",), "small-mask-encoder"
    facts = ConditionFacts(
        "mask", "spatial", "masks", "mask_encoder", "mask_latent", "mean of the standardised latent of the mask codec",
        "Images from label maps: latent diffusion, conditioned on the latent of the label map.")

    def shape(self, design: Design) -> tuple[int, ...]:
        return (design.mask_channels,)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        columns = {subset: mask_column(design, trained, subset) for subset in SUBSETS}
        return {subset: Table((column,), prepare) for subset, (column, prepare) in columns.items()}

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module | None:
        return mask_encoder(trained)


def mask_column(design: Design, trained: Trained, subset: str) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """What is kept of the label maps of a subset, and what makes the condition of some rows of it."""
    from ..training.batches import one_hot

    if design.codecs.mask.is_identity:
        return trained.label_maps(subset), partial(one_hot, classes=design.classes)
    affine = trained.mask_affine()
    return trained.mask_latents(subset), lambda raw: affine.standardise(raw.float())


def mask_encoder(trained: Trained) -> MaskEncoder | OneHotEncoder:
    """From one-hot label maps to what the denoiser takes."""
    from ..networks import MaskEncoder, OneHotEncoder

    codec = trained.mask_codec()
    return OneHotEncoder() if codec is None else MaskEncoder(codec, trained.mask_affine())


def untrained_mask_encoder(design: Design) -> MaskEncoder | OneHotEncoder:
    """The same with untrained weights."""
    import torch

    from ..networks import Affine, Codec, MaskEncoder, OneHotEncoder

    if design.codecs.mask.is_identity:
        return OneHotEncoder()
    channels = design.codecs.mask.latent_channels
    return MaskEncoder(Codec(design.classes, design.codecs.mask, design.dims),
                       Affine(torch.zeros(channels), torch.ones(channels), design.dims))

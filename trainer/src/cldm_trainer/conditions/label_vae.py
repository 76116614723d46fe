"""The latent vector of the label map in a VAE, one token for each dimension (strategies 1.2 and 1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .facts import ConditionFacts
from .kind import Design, OfTokens, Table, Trained, number_tables

if TYPE_CHECKING:
    from torch import Tensor, nn

_BATCH = 64


class LabelVaeCondition(OfTokens):
    name = "label-vae"
    stages = ("label-vae",)
    facts = ConditionFacts(
        "label_vector", "vector", "masks", "label_encoder", "context",
        "one token for each dimension of the label VAE's latent vector",
        "Images from label maps: latent diffusion, conditioned on a short latent vector of the label map by "
        "cross-attention.")

    def learned(self, design: Design) -> nn.Module:
        from ..networks import AttributeTokens

        return AttributeTokens(design.label_vae.dimensions, "corrected", design.diffusion.context_width)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        def make(subset: str) -> tuple[Tensor, Tensor]:
            return _label_vectors(design, trained, subset)

        return number_tables(trained.kept(self.name, make, {"label_vae": trained.digest("label-vae")}))

    def depends_on(self, design: Design, trained: Trained) -> dict[str, Any]:
        trained.label_vae()  # says what to run where there is none
        return {"label_vae": trained.digest("label-vae")}

    def exported(self, design: Design, learned: nn.Module | None) -> nn.Module:
        from ..networks import AttributeTokens, LabelVae, LabelVectorEncoder

        assert isinstance(learned, AttributeTokens)
        return LabelVectorEncoder(LabelVae(design.classes, design.shape, design.label_vae), learned)

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module:
        from ..networks import AttributeTokens, LabelVectorEncoder

        assert isinstance(learned, AttributeTokens)
        return LabelVectorEncoder(trained.label_vae(), learned)


def _label_vectors(design: Design, trained: Trained, subset: str) -> tuple[Tensor, Tensor]:
    """The label VAE's mean (N, d) of a subset's samples; it is defined everywhere."""
    import torch

    from ..training.batches import in_batches, one_hot

    vae, maps = trained.label_vae(), trained.label_maps(subset)
    with torch.no_grad():
        means = torch.cat([vae.encode(one_hot(maps[part], design.classes))[0]
                           for part in in_batches(len(maps), _BATCH)])
    return means, torch.ones_like(means)

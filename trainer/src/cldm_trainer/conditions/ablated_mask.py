"""The one-hot label map, of which any classes may be left free: `diffusion.value_dropout` is the probability of each
class of each sample to be hidden in training."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class AblatedMaskCondition(Condition):
    name, way = "ablated-mask", "channels"
    facts = ConditionFacts(
        "ablated_mask", "spatial", "masks and classes", "condition_encoder", "condition",
        "label map, one-hot, in which the class around it stands for one that is free; then which classes are known, "
        "the same at every place",
        "Images from label maps, any of whose classes may be left free: diffusion on the pixels, conditioned on the "
        "label map and on which of its classes are known.")

    def faults(self, config: Config) -> list[str]:
        faults, hidden = [], config.diffusion.value_dropout
        if not config.mask_codec.is_identity:
            faults.append(f"mask_codec.codec: found {config.mask_codec.codec!r}, expected 'identity' for the condition "
                          "ablated-mask.")
        if hidden == 0.0:
            faults.append("diffusion.value_dropout: found 0, expected more for the condition ablated-mask, for example "
                          "0.5. Or use the condition mask.")
        return faults

    def learned(self, design: Design) -> nn.Module:
        from ..networks.known_classes import KnownClassPlanes

        return KnownClassPlanes(design.classes, design.domain.labels.within)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        import torch

        from ..training.batches import one_hot

        def table(subset: str) -> Table:
            maps = trained.label_maps(subset)
            return Table((maps, torch.ones(len(maps), design.classes)),
                         lambda column: column if column.ndim == 2 else one_hot(column, design.classes))

        return {subset: table(subset) for subset in SUBSETS}

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Classes of each sample become free, each by itself; the background never."""
        import torch

        one_hot, known = sources
        known = known * (torch.rand(known.shape, generator=generator) >= share)
        known[:, 0] = 1.0
        return one_hot, known

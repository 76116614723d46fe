"""The label map as one channel, label / 255: what the released code of segmentation-guided diffusion feeds (Konz et
al., arXiv 2402.05210). Classes then differ by 0.004. For comparison alone; `mask` feeds them one-hot."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..config import Config
from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained

if TYPE_CHECKING:
    from torch import nn


class MaskValueCondition(Condition):
    name, way = "mask-value", "channels"
    facts = ConditionFacts(
        "mask_value", "spatial", "masks", "condition_encoder", "condition", "label / 255, in one channel",
        "Images from label maps: diffusion on the pixels, conditioned on the number of the label in one channel.")

    def faults(self, config: Config) -> list[str]:
        if config.mask_codec.is_identity:
            return []
        return [f"mask_codec.codec: found {config.mask_codec.codec!r}, expected 'identity' for the condition "
                "mask-value."]

    def learned(self, design: Design) -> nn.Module:
        from ..networks.identity import LabelValueEncoder

        return LabelValueEncoder(design.classes)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        from ..training.batches import one_hot

        return {subset: Table((trained.label_maps(subset),), partial(one_hot, classes=design.classes))
                for subset in SUBSETS}

"""The latent of the label map with attributes of the image, such as its contrast, all concatenated with the noisy
latent: the label map says where, the attributes say how bright."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import Config
from .attributes import hidden, unknown_images
from .facts import ConditionFacts
from .kind import SUBSETS, Condition, Design, Table, Trained
from .mask import mask_column, mask_encoder, untrained_mask_encoder

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..networks import MaskEncoder, OneHotEncoder


class MaskAttributesCondition(Condition):
    name, way, extends, adoptable = "mask-attributes", "channels", "mask", True
    codecs = ("mask-codec",)
    facts = ConditionFacts(
        "mask_attributes", "spatial", "masks and attributes", "condition_encoder", "condition",
        "mean of the standardised latent of the mask codec, then attributes of the image, each where its region lies",
        "Images from label maps and attributes of the image: latent diffusion, conditioned on the latent of the label "
        "map and on planes of attributes.")

    def faults(self, config: Config) -> list[str]:
        if not config.diffusion.image_attributes:
            return ["diffusion.image_attributes: empty, expected some for diffusion.condition = \"mask-attributes\". "
                    "Or use the condition mask."]
        return unknown_images(config)

    def learned(self, design: Design) -> nn.Module:
        from ..networks.planes import AttributePlanes

        regions = {attribute.name: attribute.regions or () for attribute in design.domain.image_attributes}
        labels = [sorted({label for region in regions[name] for label in design.domain.labels.regions[region]})
                  for name in design.diffusion.image_attributes]
        return AttributePlanes(design.mask_channels, labels, design.codecs.mask.stride)

    def fit(self, encoder: nn.Module, training: Table) -> None:
        from ..networks.planes import AttributePlanes

        assert isinstance(encoder, AttributePlanes)
        encoder.standardise_by(*training.columns[2:])

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        from ..training.batches import one_hot

        kept = trained.kept(self.name, trained.attributes, {
            "image_attributes": ",".join(design.told_attributes)})

        def table(subset: str) -> Table:
            masks, prepare = mask_column(design, trained, subset)

            def source(column: Tensor) -> Tensor:
                if column.ndim == 2:
                    return column.float()
                return prepare(column) if column.is_floating_point() else one_hot(column, design.classes)

            return Table((masks, trained.label_maps(subset), kept[f"{subset}.values"], kept[f"{subset}.defined"]),
                         source)

        return {subset: table(subset) for subset in SUBSETS}

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        return (*sources[:2], *hidden(sources[2:], share, generator))

    def regions(self, encoder: nn.Module, sources: tuple[Tensor, ...]) -> Tensor | None:
        from ..networks.planes import AttributePlanes

        assert isinstance(encoder, AttributePlanes)
        return encoder.shares(sources[1]).sum(1, keepdim=True)

    def exported(self, design: Design, learned: nn.Module | None) -> nn.Module:
        return _encoder(untrained_mask_encoder(design), learned, design)

    def trained_encoder(self, learned: nn.Module | None, trained: Trained) -> nn.Module:
        return _encoder(mask_encoder(trained), learned, trained.design)


def _encoder(masks: MaskEncoder | OneHotEncoder, learned: nn.Module | None, design: Design) -> nn.Module:
    from ..networks import SignalUnits
    from ..networks.planes import AttributePlanes, MaskAndAttributesEncoder

    assert isinstance(learned, AttributePlanes)
    return MaskAndAttributesEncoder(masks, learned, SignalUnits(design.factors))

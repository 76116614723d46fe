"""Images that are painted anew in a region, through a ControlNet at a frozen unconditional U-Net: the label map says
what is painted, the image around the region what it has to fit (task and inputs as in LGESynthNet, arXiv 2603.18356,
whose text is not public beyond its abstract).

What is learned is what an edit asks for: an image with its label map is what an edit made of another map of the same
organ, and the region is the one that this edit would paint. The other map has no lesion, so that a lesion is painted;
or another one, so that what was lesion there is healed.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cldm_runtime.bundle.declarations import find_domain
from cldm_runtime.domains.edit_rules import EditRequest, EditRules
from cldm_runtime.domains.labels import LabelMap
from cldm_runtime.errors import InputError
from cldm_runtime.requests.painting import painting_of

from ..config import Config
from .control import Controlled
from .facts import ConditionFacts
from .kind import SUBSETS, Design, Table, Trained

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_SEED = 22  # of the edits whose regions are learned


class PaintingCondition(Controlled):
    name = "painting"
    facts = ConditionFacts(
        "painting", "spatial", "masks and paintings", "painting_encoder", "control",
        "embedded label map, region and image around it; the same at every timestep",
        "Images that are painted anew in a region, from label maps: unconditional latent diffusion, controlled by a "
        "ControlNet on the label map, the region and the image around it.")

    def faults(self, config: Config) -> list[str]:
        domain, faults = find_domain(config.cohort.domain), super().faults(config)
        if domain.edit is None:
            faults.append(f"diffusion.condition: found 'painting', but lesions of the domain {domain.name} cannot be "
                          "edited, so nothing says which regions to learn.")
        return faults

    def learned(self, design: Design) -> nn.Module:
        from ..networks import PaintingEncoder

        control = design.control
        return PaintingEncoder(design.classes, control.image_channels, control.channels, design.diffusion.channels[0],
                               design.dims)

    def tables(self, design: Design, trained: Trained) -> dict[str, Table]:
        import torch

        rules, spacing_mm = design.domain.edit, design.spacing_mm
        assert rules is not None  # the configuration was checked

        def make(subset: str) -> tuple[Tensor, Tensor]:
            maps = trained.label_maps(subset).numpy()
            packed = [np.packbits(edited_region(labels, rules, number, spacing_mm), axis=-1)
                      for number, labels in enumerate(maps)]
            return torch.from_numpy(np.stack(packed)), torch.ones(len(maps))

        kept = trained.kept(self.name, make, {"edit": rules.name, "edits_seed": str(_SEED)})

        def table(subset: str) -> Table:
            images = trained.images(subset)
            if images.shape[1] != design.control.image_channels:
                raise InputError(f"control.image_channels: found {design.control.image_channels}, but the cohort's "
                                 f"images have {images.shape[1]} channels. Set it to {images.shape[1]}.")
            return Table((trained.label_maps(subset), images, kept[f"{subset}.values"]),
                         partial(_prepared, classes=design.classes, width=images.shape[-1]))

        return {subset: table(subset) for subset in SUBSETS}

    def hide(self, sources: tuple[Tensor, ...], share: float, generator: torch.Generator) -> tuple[Tensor, ...]:
        """A share of the images is painted whole: then a bundle makes images from label maps alone too."""
        import torch

        if share == 0.0:
            return sources
        one_hot, image, region = sources
        whole = torch.rand(len(region), generator=generator) < share
        return one_hot, image, torch.where(whole.reshape(-1, *(1,) * (region.ndim - 1)), torch.ones(()), region)

    def places(self, sources: tuple[Tensor, ...], latent_shape: tuple[int, ...]) -> Tensor | None:
        """What lies outside the region is given while images are painted, so its errors do not count."""
        from torch.nn import functional

        pool = functional.adaptive_max_pool2d if len(latent_shape) == 2 else functional.adaptive_max_pool3d
        return pool(sources[2], latent_shape)


def edited_region(labels: LabelMap, rules: EditRules, number: int, spacing_mm: tuple[float, ...]) -> NDArray[np.bool_]:
    """(*spatial) the region that an edit which leads to this label map paints: with even numbers of a lesion out of
    none, else of one out of another. Everything where the map takes no edit."""
    befores = [_other(labels, rules, number), rules.draw(labels, rules.removal, _SEED, number)]
    for before in befores if number % 2 else befores[::-1]:
        if before is not None and (before != labels).any():
            return painting_of(before, labels, spacing_mm).region
    return np.ones(labels.shape, dtype=np.bool_)


def _other(labels: LabelMap, rules: EditRules, number: int) -> LabelMap | None:
    """The map with another lesion; None where it takes none."""
    asked = EditRequest()
    if rules.map_faults(labels, asked):
        return None
    try:
        return rules.draw(labels, asked, _SEED, number)
    except InputError:
        return None


def _prepared(column: Tensor, classes: int, width: int) -> Tensor:
    """One-hot maps from maps; images as they are; regions (n, 1, *spatial) from packed ones."""
    import torch

    from ..training.batches import one_hot

    if column.is_floating_point():
        return column.float()
    if column.shape[-1] == width:
        return one_hot(column, classes)
    return torch.from_numpy(np.unpackbits(column.numpy(), axis=-1, count=width)).float()[:, None]

"""What a manifest says about each kind of condition, and the inputs of its encoder graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from cldm_runtime.errors import InputError


@dataclass(frozen=True)
class ConditionFacts:
    """encoder: the role of the graph that takes the source and gives the tensor `feeds`, an input of the denoiser.

    source "masks": the encoder takes `one_hot` (N, K, H, W); "attributes": `attributes` and `defined`, each (N, A).
    """

    name: str
    kind: Literal["spatial", "vector"]
    source: Literal["masks", "attributes"]
    encoder: str
    feeds: str
    meaning: str
    description: str

    def section(self, null: Sequence[float] | None) -> dict[str, Any]:
        """The condition's entry in the manifest. null: what the denoiser takes for no condition."""
        entry = {"name": self.name, "kind": self.kind, "source": self.source, "encoder": self.encoder,
                 "feeds": self.feeds}
        return entry if null is None else entry | {"null": list(null)}


_FACTS = {
    "mask": ConditionFacts(
        "mask", "spatial", "masks", "mask_encoder", "mask_latent", "mean of the standardised latent of the mask codec",
        "Images from label maps: latent diffusion, conditioned on the latent of the label map."),
    "attributes": ConditionFacts(
        "attributes", "vector", "attributes", "attribute_encoder", "context", "one token for each attribute",
        "Images from attributes: latent diffusion, conditioned on one token for each attribute by cross-attention."),
    "label-vae": ConditionFacts(
        "label_vector", "vector", "masks", "label_encoder", "context",
        "one token for each dimension of the label VAE's latent vector",
        "Images from label maps: latent diffusion, conditioned on a short latent vector of the label map by "
        "cross-attention."),
    "control": ConditionFacts(
        "control", "spatial", "masks", "control_encoder", "control", "embedded label map; the same at every timestep",
        "Images from label maps: unconditional latent diffusion, controlled by a ControlNet on the label map."),
}


def condition_facts(condition: str) -> ConditionFacts:
    """Facts about `diffusion.condition`. Raises InputError for "none": its images would belong to no label map."""
    if condition not in _FACTS:
        raise InputError(f"diffusion.condition = {condition!r}: an unconditional model is the base of a ControlNet and "
                         "is not exported, because its images belong to no label map and to no attributes.")
    return _FACTS[condition]


def random_sources(facts: ConditionFacts, like: Mapping[str, Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    """Encoder inputs without anatomy, of the shapes of `like`: labels at every pixel by chance, values in 0..1."""
    if facts.source == "masks":
        one_hot = like["one_hot"]
        n, classes, *spatial = one_hot.shape
        labels = torch.randint(0, classes, (n, *spatial), generator=generator)
        return {"one_hot": torch.nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float()}
    shape = like["attributes"].shape
    defined = (torch.rand(shape, generator=generator) < 0.7).float()
    return {"attributes": torch.rand(shape, generator=generator) * defined, "defined": defined}

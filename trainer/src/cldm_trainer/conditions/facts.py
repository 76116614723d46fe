"""What a manifest says about a condition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

_PIXELS = {
    "mask": (
        "the label map, one-hot",
        "Images from label maps: diffusion on the pixels, conditioned on the label map."),
    "mask_attributes": (
        "the label map, one-hot, then attributes of the image, each where its region lies",
        "Images from label maps and attributes of the image: diffusion on the pixels, conditioned on the label map and "
        "on planes of attributes."),
    "control": (
        "embedded label map; the same at every timestep",
        "Images from label maps: unconditional diffusion on the pixels, controlled by a ControlNet on the label map."),
    "attributes": (
        "one token for each attribute",
        "Images from attributes: diffusion on the pixels, conditioned on one token for each attribute by "
        "cross-attention."),
    "label_vector": (
        "one token for each dimension of the label VAE's latent vector",
        "Images from label maps: diffusion on the pixels, conditioned on a short latent vector of the label map by "
        "cross-attention."),
    "painting": (
        "embedded label map, region and image around it; the same at every timestep",
        "Images that are painted anew in a region, from label maps: unconditional diffusion on the pixels, controlled "
        "by a ControlNet on the label map, the region and the image around it."),
}
"""Meaning and description where image and mask codec are identities, by the name of the condition."""


@dataclass(frozen=True)
class ConditionFacts:
    """encoder: the role of the graph that takes the source and gives the tensor `feeds`, an input of the denoiser.

    source "masks": the encoder takes `one_hot` (N, K, *spatial); "attributes": `attributes` and `defined`, each (N, A);
    "masks and attributes": all three; "masks and classes": `one_hot` and `known` (N, K); "images": `image` (N, C,
    *spatial); "masks and paintings": `one_hot`, `image` and `region` (N, 1, *spatial).
    """

    name: str
    kind: Literal["spatial", "vector"]
    source: Literal["masks", "attributes", "masks and attributes", "masks and classes", "images", "masks and paintings"]
    encoder: str
    feeds: str
    meaning: str
    description: str

    def in_pixels(self) -> Self:
        """The same where image and mask codec are identities."""
        meaning, description = _PIXELS.get(self.name, (self.meaning, self.description))
        return replace(self, meaning=meaning, description=description)

    def section(self, null: Sequence[float] | None) -> dict[str, Any]:
        """The condition's entry in the manifest. null: what the denoiser takes for no condition."""
        entry = {"name": self.name, "kind": self.kind, "source": self.source, "encoder": self.encoder,
                 "feeds": self.feeds}
        return entry if null is None else entry | {"null": list(null)}

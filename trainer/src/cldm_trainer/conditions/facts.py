"""What a manifest says about a condition."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

_IN_PIXELS = {"latent diffusion": "diffusion on the pixels", "the latent of the label map": "the label map",
              "mean of the standardised latent of the mask codec": "the label map, one-hot"}


@dataclass(frozen=True)
class ConditionFacts:
    """encoder: the role of the graph that takes the source and gives the tensor `feeds`, an input of the denoiser.

    source "masks": the encoder takes `one_hot` (N, K, *spatial); "attributes": `attributes` and `defined`, each (N, A);
    "masks and attributes": all three; "masks and classes": `one_hot` and `known` (N, K); "images": `image` (N, C,
    *spatial).
    """

    name: str
    kind: Literal["spatial", "vector"]
    source: Literal["masks", "attributes", "masks and attributes", "masks and classes", "images"]
    encoder: str
    feeds: str
    meaning: str
    description: str

    def in_pixels(self) -> Self:
        """The same where image and mask codec are identities."""
        meaning, description = self.meaning, self.description
        for of_latents, of_pixels in _IN_PIXELS.items():
            meaning, description = (text.replace(of_latents, of_pixels) for text in (meaning, description))
        return replace(self, meaning=meaning, description=description)

    def section(self, null: Sequence[float] | None) -> dict[str, Any]:
        """The condition's entry in the manifest. null: what the denoiser takes for no condition."""
        entry = {"name": self.name, "kind": self.kind, "source": self.source, "encoder": self.encoder,
                 "feeds": self.feeds}
        return entry if null is None else entry | {"null": list(null)}

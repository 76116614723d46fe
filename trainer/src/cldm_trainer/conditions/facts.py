"""What a manifest says about a condition."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class ConditionFacts:
    """encoder: the role of the graph that takes the source and gives the tensor `feeds`, an input of the denoiser.

    source "masks": the encoder takes `one_hot` (N, K, *spatial); "attributes": `attributes` and `defined`, each (N, A);
    "masks and attributes": all three; "images": `image` (N, C, *spatial).
    """

    name: str
    kind: Literal["spatial", "vector"]
    source: Literal["masks", "attributes", "masks and attributes", "images"]
    encoder: str
    feeds: str
    meaning: str
    description: str

    def section(self, null: Sequence[float] | None) -> dict[str, Any]:
        """The condition's entry in the manifest. null: what the denoiser takes for no condition."""
        entry = {"name": self.name, "kind": self.kind, "source": self.source, "encoder": self.encoder,
                 "feeds": self.feeds}
        return entry if null is None else entry | {"null": list(null)}

"""Given images whose lesions are edited: the edited part of each is painted anew, the rest stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import InputError
from .edited_maps import EditedMapRequests
from .given_images import GivenImageRows
from .painting import painting_of
from .sources import SampleRequest


@dataclass(frozen=True)
class PaintedImageRequests:
    """The requests of `source`, each with the given image that goes with its map. sha256: of all images."""

    source: EditedMapRequests
    images: GivenImageRows
    sha256: str
    value_range: tuple[float, float]

    @classmethod
    def of(cls, source: EditedMapRequests, images: GivenImageRows, sha256: str,
           value_range: tuple[float, float]) -> "PaintedImageRequests":
        """Raises InputError if there is not an image for each map."""
        if len(images) != len(source.masks.rows):
            raise InputError(f"--like gives {len(images)} images, and there are {len(source.masks.rows)} label maps. "
                             "Each image needs the label map of its own slice, in the same order.")
        return cls(source, images, sha256, value_range)

    def request(self, seed: int, index: int) -> SampleRequest:
        request = self.source.request(seed, index)
        assert request.before is not None and request.mask is not None and request.given_row is not None
        image = np.clip(self.images.image(request.given_row), *self.value_range).astype(np.float32)
        canvas = self.source.masks.canvas
        return replace(request, painting=painting_of(request.before, request.mask, canvas.spacing_mm, image))

    def identity(self) -> Mapping[str, str | int | float]:
        return {**self.source.identity(), "edit_sha256": self.sha256, "edit_images": len(self.images)}

    def notes(self) -> list[str]:
        return self.source.notes()

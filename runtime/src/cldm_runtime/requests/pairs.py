"""Pairs: each sample without its lesion, and with it; or a given image as it is, and edited.

Sample 2 p of a run is the first of pair p, sample 2 p + 1 the second. Both have the same noise, and outside the region
that was painted anew their pixels are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..domains.edit_rules import EditRules
from ..domains.labels import LabelMap
from ..errors import InputError
from .canvas import Canvas
from .painting import painting_of
from .sources import RequestSource, SampleRequest, measured_attributes


@dataclass(frozen=True)
class PairedRequests:
    """The samples of `source`, each after another without its lesion, or as it was before the edit."""

    source: RequestSource
    canvas: Canvas
    rules: EditRules
    _last: dict[tuple[int, int], tuple[SampleRequest, LabelMap]] = field(default_factory=dict, repr=False,
                                                                         compare=False)

    def request(self, seed: int, index: int) -> SampleRequest:
        pair, second = divmod(index, 2)
        request, before = self._pair(seed, pair)
        assert request.mask is not None  # the bundle is conditioned on maps
        common = replace(request, index=index, pair=pair, before=None,
                         noise_number=pair if request.noise_number is None else request.noise_number)
        image = None if request.painting is None else request.painting.image
        if second:
            return replace(common, painting=painting_of(before, request.mask, self.canvas.spacing_mm, image))
        values, _ = measured_attributes(before[None], [request.requested], self.canvas.domain, self.canvas.spacing_mm)
        unpainted = None if image is None else painting_of(before, before, self.canvas.spacing_mm, image)
        nowhere = None if request.place is None else np.full_like(request.place, np.nan)
        return replace(common, mask=before, requested=values[0], painting=unpainted, place=nowhere)

    def _pair(self, seed: int, pair: int) -> tuple[SampleRequest, LabelMap]:
        """The request of a pair, and the label map before. The last one is kept: its two samples come one after the
        other."""
        drawn = self._last.get((seed, pair))
        if drawn is None:
            request = self.source.request(seed, pair)
            assert request.mask is not None  # the bundle is conditioned on maps
            before = request.before
            drawn = request, self.rules.draw(request.mask, self.rules.removal, seed, pair) if before is None else before
            self._last.clear()
            self._last[seed, pair] = drawn
        return drawn

    def identity(self) -> Mapping[str, str | int | float]:
        return {**self.source.identity(), "pairs": 1}

    def notes(self) -> list[str]:
        return self.source.notes()


def paired(source: RequestSource, canvas: Canvas, batch_size: int) -> PairedRequests:
    """Raises InputError for a bundle without label maps, a domain without edits, and odd batch sizes."""
    if not canvas.maps or canvas.domain.edit is None:
        raise InputError("--pairs: pairs differ in the lesion of their label map; this bundle takes no map, or its "
                         f"domain {canvas.domain.name} has no edits. Use another bundle.")
    if batch_size % 2:
        raise InputError(f"--pairs: the two of a pair are computed together, and --batch-size {batch_size} would part "
                         "them. Pass an even number.")
    return PairedRequests(source, canvas, canvas.domain.edit)


def both_of_each(samples: int) -> int:
    """How many pairs a run of that many samples has. Raises InputError for an odd number."""
    if samples % 2:
        raise InputError(f"--pairs: --n {samples} counts both images of each pair. Pass an even number.")
    return samples // 2


"""Given label maps combined with a grid: each map is turned, and its lesion widened, as the grid's rows say."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ..domains.labels import LabelMap
from ..domains.rotation import overhang_mm, rotate_labels
from ..errors import InputError, list_faults
from .canvas import Canvas, untaken_of_images
from .grid import Grid, GridRow
from .sources import MaskRequests, SampleRequest
from .turns import place_of

_MOST_FAULTS = 20


@dataclass(frozen=True)
class MaskGridRequests:
    """Requests for given label maps, moved by the rows of a grid.

    The rows take turns as without maps (`Grid.counts`, `place_of`). The k-th sample of a row shows map k modulo the
    number of maps. With equal weights a map passes through all rows before the next one does, and rows x maps samples
    hold every pair once. Attributes are measured on the moved map. counts: how many samples each row gets.
    """

    grid: Grid
    counts: NDArray[np.int64]
    masks: MaskRequests

    @classmethod
    def spread(cls, grid: Grid, samples: int, masks: MaskRequests) -> "MaskGridRequests":
        """Raises InputError if a map, turned as a row says, would leave the image, and for attributes of images that
        the bundle does not take; checks the pairs that occur."""
        if untaken := [fault for row in grid.rows for fault in untaken_of_images(row, masks.canvas)]:
            raise InputError(list_faults(f"{grid.name}: does not fit the bundle.", list(dict.fromkeys(untaken))))
        requests = cls(grid, grid.counts(samples), masks)
        faults = list(islice(requests._overhangs(), _MOST_FAULTS + 1))
        if len(faults) > _MOST_FAULTS:
            faults[-1] = "... and others"
        if faults:
            raise InputError(list_faults(f"{grid.name}: label maps would leave the image. Leave these angles out, or "
                                         "centre the maps.", faults))
        return requests

    def _overhangs(self) -> Iterator[str]:
        canvas, turned = self.masks.canvas, [r for r, row in enumerate(self.grid.rows) if row.rotation_deg]
        most = int(self.counts[turned].max()) if turned and canvas.maps else 0
        for source in range(min(most, len(self.masks.rows))):
            mask = self.masks.rows.mask(source)
            for r in turned:
                row = self.grid.rows[r]
                if self.counts[r] > source and (outside := overhang_mm(mask, row.rotation_deg, canvas.spacing_mm)) > 0:
                    yield f"line {row.line}: map {source}, turned by {row.rotation_deg:g} degrees, by {outside:.1f} mm"

    def request(self, seed: int, index: int) -> SampleRequest:
        number, before = place_of(index, self.counts)
        row, source = self.grid.rows[number], before % len(self.masks.rows)
        mask = moved(self.masks.rows.mask(source), row, self.masks.canvas)
        request = self.masks.request_for(mask, source, seed, index, row)
        return replace(request, grid_row=number, rotation_deg=row.rotation_deg)

    def identity(self) -> dict[str, str | int]:
        return {**self.masks.identity(), "grid_sha256": self.grid.sha256, "grid_rows": len(self.grid)}

    def notes(self) -> list[str]:
        still = not self.masks.canvas.maps and any(row.rotation_deg for row in self.grid.rows)
        return self.masks.notes() + [f"{self.grid.name}: rotation_deg has no effect: no image shows a label map."
                                     ] * still


def moved(mask: LabelMap, row: GridRow, canvas: Canvas) -> LabelMap:
    """The label map with its lesion widened, then turned, as a row says. It is not turned for images that are
    conditioned on attributes alone."""
    if row.widening_mm and canvas.domain.widen is not None:
        mask = canvas.domain.widen(mask, row.widening_mm, canvas.spacing_mm)
    return rotate_labels(mask, row.rotation_deg, canvas.spacing_mm) if row.rotation_deg and canvas.maps else mask

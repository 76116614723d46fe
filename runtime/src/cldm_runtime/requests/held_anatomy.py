"""Requests from a grid whose rows share their anatomies and their noise: along the rows only the lesion changes.

The k-th sample of every row shows anatomy k, drawn without lesion, with the lesion of the row drawn into it.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..domains.edit_rules import EditRequest
from ..domains.labels import LabelMap
from ..errors import InputError, list_faults
from ..noise import Purpose, Stream
from .canvas import Canvas, imaging_of
from .grid import Grid, GridRow
from .sources import SampleRequest, measured_attributes
from .turns import place_of

_DRAWS = 40  # of anatomies, until one takes the lesions of all rows
_CACHED = 4  # anatomies; samples are requested in order, so a few are enough
Maps = dict[int, tuple[LabelMap, LabelMap]]


class HeldAnatomyRequests:
    """counts: how many samples each row gets."""

    def __init__(self, grid: Grid, counts: NDArray[np.int64], canvas: Canvas) -> None:
        self.grid, self.counts, self.canvas = grid, counts, canvas
        self._cached = lru_cache(_CACHED)(self._maps)

    def __reduce__(self) -> tuple[object, ...]:
        return HeldAnatomyRequests, (self.grid, self.counts, self.canvas)

    @classmethod
    def spread(cls, grid: Grid, samples: int, canvas: Canvas) -> "HeldAnatomyRequests":
        """Raises InputError for a bundle without label maps, a domain without edits or lesions, and rows that turn."""
        if not canvas.maps or canvas.domain.edit is None or canvas.domain.lesion_size is None:
            raise InputError("--hold-anatomy: lesions are drawn into held label maps; this bundle takes no map, or its "
                             f"domain {canvas.domain.name} has no edits. Leave it out.")
        if turned := [f"line {row.line}: rotation_deg = {row.rotation_deg:g}" for row in grid.rows if row.rotation_deg]:
            raise InputError(list_faults("--hold-anatomy: a row that turns the anatomy does not hold it. Leave the "
                                         "column rotation_deg out.", turned))
        return cls(grid, grid.counts(samples), canvas)

    def request(self, seed: int, index: int) -> SampleRequest:
        number, turn = place_of(index, self.counts)
        row, domain = self.grid.rows[number], self.canvas.domain
        before, edited = self._cached(seed, turn)[number]
        known = {**self._free(row, seed, turn), **row.request}
        values = np.array([known.get(name, np.nan) for name in domain.attribute_names], dtype=np.float32)
        measured, _ = measured_attributes(edited[None], [values], domain, self.canvas.spacing_mm)
        requested = np.array([row.request.get(name, value) for name, value in zip(domain.attribute_names, measured[0],
                                                                                  strict=True)], dtype=np.float32)
        imaging = imaging_of(row, requested, self.canvas, seed, turn)
        return SampleRequest(index, number, requested, edited, imaging=imaging, noise_number=turn, before=before)

    def _free(self, row: GridRow, seed: int, turn: int) -> dict[str, float]:
        """What no label map shows, such as its position: as the row states it, else drawn for anatomy `turn`."""
        domain, table = self.canvas.domain, self.canvas.table
        names = [attribute.name for attribute in domain.attributes if not attribute.measurable]
        stated = {name: row.request[name] for name in names if name in row.request}
        assert domain.lesion_size is not None
        complete = domain.require_anatomy().complete({domain.lesion_size: 0.0, **stated},
                                                     Stream(seed, turn, Purpose.CONDITION), table)
        return {name: complete[name] for name in names if name in complete}

    def _maps(self, seed: int, turn: int) -> Maps:
        """Of anatomy `turn`: for each row that has samples, the map without lesion and with it."""
        failure: InputError | None = None
        for attempt in range(_DRAWS):
            try:
                return self._attempt(seed, turn, attempt)
            except InputError as error:
                failure = error
        raise InputError(f"{self.grid.name}, --hold-anatomy: none of {_DRAWS} anatomies takes the lesions of all rows. "
                         f"The last: {failure} Or leave --hold-anatomy out.")

    def _attempt(self, seed: int, turn: int, attempt: int) -> Maps:
        domain, maps = self.canvas.domain, {}
        assert domain.edit is not None and domain.lesion_size is not None
        for number, row in enumerate(self.grid.rows):
            if not self.counts[number]:
                continue
            free = self._free(row, seed, turn)
            healthy = domain.require_anatomy().complete({domain.lesion_size: 0.0, **free},
                                                        Stream(seed, turn, Purpose.CONDITION), self.canvas.table)
            before = domain.require_anatomy().draw(healthy, Stream(seed, turn, Purpose.ANATOMY, attempt),
                                                   shape=self.canvas.shape, spacing_mm=self.canvas.spacing_mm).labels
            try:
                asked = EditRequest({**free, **row.request})
                maps[number] = before, domain.edit.draw(before, asked, seed, turn, self.canvas.table)
            except InputError as error:
                raise InputError(f"line {row.line}: {error}") from error
        return maps

    def identity(self) -> dict[str, str | int]:
        infeasible = {"infeasible": self.grid.infeasible} if self.grid.infeasible else {}
        return {"source": "grid", "grid_sha256": self.grid.sha256, "grid_rows": len(self.grid), "held_anatomy": 1,
                **infeasible, **self.canvas.domain.require_anatomy().identity()}

    def notes(self) -> list[str]:
        return [f"{self.grid.name}, {note}" for note in self.grid.notes]

"""What each sample is asked for: attributes, a label map, or nothing. A pure function of the source, seed and index."""

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..domains.attributes import Reason
from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..errors import InputError, list_faults
from ..files.blocks import samples_in_block
from ..noise import Purpose, Stream
from .given_maps import MaskRows, dataset_masks, npy_masks
from .grid import Grid, GridRow, row_of

NO_GRID_ROW = -1
_DRAWS = 4


@dataclass(frozen=True)
class SampleRequest:
    """One sample to be generated.

    requested: (A,) in the domain's order and the user's units, NaN where undefined, unknown or not asked for.
    mask: (*spatial) label map that the image is to show; None where it is made from attributes alone, or from nothing.
    condition: number of the condition that the sample shares with others of the run; None where it shares none.
    draws: how many label maps were drawn until one met the request; 0 where none was. given: what the image is made
    from besides, by the name of its source (`bundle/sources.py`).
    """

    index: int
    grid_row: int
    requested: NDArray[np.float32]
    mask: LabelMap | None
    rotation_deg: float = 0.0
    condition: int | None = None
    draws: int = 0
    given: Mapping[str, NDArray[Any]] = field(default_factory=dict)


class RequestSource(Protocol):
    """Where requests come from."""

    def request(self, seed: int, index: int) -> SampleRequest:
        """What sample `index` of the run with that seed is asked for."""

    def identity(self) -> dict[str, str | int]:
        """What decides the requests, besides seed and index; part of the plan."""

    def notes(self) -> list[str]:
        """What of the user's input has no effect, one line each."""


@dataclass(frozen=True)
class Canvas:
    """What label maps are drawn on and for.

    table: (rows, A) joint attributes, in the domain's order, from which those left out are drawn; None: the domain's
    own prior. maps: whether images are made from label maps; if not, none are drawn, and no other attributes can be
    asked for than `attributes`. attributes: names of those that images are made from, instead of or besides maps.
    """

    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    table: NDArray[np.float64] | None = None
    maps: bool = True
    attributes: tuple[str, ...] = ()

    def told(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(A,) attributes of a request without those that the image is not made from."""
        if self.maps:
            return values
        kept = [name in self.attributes for name in self.domain.attribute_names]
        return np.where(kept, values, np.float32(np.nan))


@dataclass(frozen=True)
class GridRequests:
    """Requests from a grid: attributes left out are completed, then an anatomy is drawn that meets them.

    counts: how many samples each row gets.
    """

    grid: Grid
    counts: NDArray[np.int64]
    canvas: Canvas

    @classmethod
    def spread(cls, grid: Grid, samples: int, canvas: Canvas) -> "GridRequests":
        """The grid's rows take turns, see `row_of`. Raises InputError for attributes that the bundle does not take."""
        faults = [fault for row in grid.rows for fault in untaken(row, canvas)]
        if faults:
            raise InputError(list_faults(f"{grid.name}: does not fit the bundle.", list(dict.fromkeys(faults))))
        return cls(grid, grid.counts(samples), canvas)

    def request(self, seed: int, index: int) -> SampleRequest:
        number = row_of(index, self.counts)
        try:
            return draw_request(self.grid.rows[number], number, self.canvas, seed, index)
        except InputError as error:
            line = self.grid.rows[number].line
            raise InputError(f"{self.grid.name}, line {line}, sample {index}: {error} Or use another seed.") from error

    def identity(self) -> dict[str, str | int]:
        drawn = self.canvas.domain.require_anatomy().identity() if self.canvas.maps else {}
        return {"source": "grid", "grid_sha256": self.grid.sha256, "grid_rows": len(self.grid), **drawn}

    def notes(self) -> list[str]:
        turned = not self.canvas.maps and any(row.rotation_deg for row in self.grid.rows)
        return [f"{self.grid.name}: rotation_deg has no effect, for this bundle draws no anatomy that could be turned."
                ] if turned else []


def untaken(row: GridRow, canvas: Canvas) -> list[str]:
    """A fault for each attribute asked for that images are not made from."""
    taken = canvas.attributes
    return [] if canvas.maps else [f"{name} is not a condition of this bundle. It takes: {', '.join(taken)}"
                                   for name in row.request if name not in taken]


def draw_request(row: GridRow, number: int, canvas: Canvas, seed: int, index: int) -> SampleRequest:
    """Complete the row's attributes, and draw an anatomy for them where the bundle needs label maps.

    What was left out is drawn again, a few times, where no anatomy is found. Raises InputError after that.
    """
    domain, conditions = canvas.domain, Stream(seed, index, Purpose.CONDITION)
    anatomy, drawn = domain.require_anatomy() if canvas.maps else None, None
    for attempt in range(_DRAWS):
        complete = completed(row.request, conditions, canvas)
        if anatomy is None:
            break
        try:
            drawn = anatomy.draw(complete, Stream(seed, index, Purpose.ANATOMY, attempt), shape=canvas.shape,
                                 spacing_mm=canvas.spacing_mm, rotation_deg=row.rotation_deg)
            break
        except InputError:
            if attempt == _DRAWS - 1:
                raise
    requested = np.array([complete.get(name, np.nan) for name in domain.attribute_names], dtype=np.float32)
    if drawn is None:
        return SampleRequest(index, number, canvas.told(requested), None, row.rotation_deg)
    free = [name not in complete for name in domain.attribute_names]
    if any(free):
        requested = np.where(free, domain.measure(drawn.labels[None], canvas.spacing_mm).values[0], requested)
    return SampleRequest(index, number, canvas.told(requested), drawn.labels, row.rotation_deg, draws=drawn.draws)


def completed(request: Mapping[str, float], stream: Stream, canvas: Canvas) -> dict[str, float]:
    """The request with the attributes that were left out. A domain without an anatomy takes them from a random row of
    the table of training data; without a table they stay out."""
    domain, table = canvas.domain, canvas.table
    if domain.anatomy is not None:
        return domain.anatomy.complete(request, stream, table)
    if table is None or not len(table):
        return dict(request)
    row = table[stream.choice(np.ones(len(table)))]
    return {**dict(zip(domain.attribute_names, row.tolist(), strict=True)), **request}


@dataclass(frozen=True)
class FreeRequests:
    """Requests for a bundle without conditions: nothing is asked for."""

    domain: Domain

    def request(self, seed: int, index: int) -> SampleRequest:
        nothing = np.full(len(self.domain.attributes), np.nan, dtype=np.float32)
        return SampleRequest(index, NO_GRID_ROW, nothing, None)

    def identity(self) -> dict[str, str | int]:
        return {"source": "none"}

    def notes(self) -> list[str]:
        return []


@dataclass(frozen=True)
class MaskRequests:
    """Requests for given label maps: sample i shows mask i modulo their number.

    The attributes asked for are those measured on the mask; what it cannot tell is taken from the file, if known. Where
    images are made from attributes, what is still unknown is completed as if it were left out of a grid; where they are
    made from attributes alone, no image shows its map.
    """

    rows: MaskRows
    sha256: str
    canvas: Canvas

    def request(self, seed: int, index: int) -> SampleRequest:
        row = index % len(self.rows)
        return self.request_for(self.rows.mask(row), row, seed, index)

    def request_for(self, mask: LabelMap, row: int, seed: int, index: int) -> SampleRequest:
        """What sample `index` is asked for where it shows `mask`, made from that of a row."""
        values, reasons = measured_attributes(mask[None], [self.rows.known_attributes(row)], self.canvas.domain,
                                              self.canvas.spacing_mm)
        requested = values[0]
        if self.canvas.attributes:
            unknown = reasons[0] == Reason.NEEDS_STACK
            requested = self._completed(requested, unknown, Stream(seed, index, Purpose.CONDITION))
        return SampleRequest(index, NO_GRID_ROW, self.canvas.told(requested), mask if self.canvas.maps else None)

    def _completed(self, values: NDArray[np.float32], unknown: NDArray[np.bool_],
                   stream: Stream) -> NDArray[np.float32]:
        """The attributes with those drawn that a label map cannot tell; what is undefined stays so."""
        domain = self.canvas.domain
        given = {name: float(value) for name, value in zip(domain.attribute_names, values, strict=True)
                 if np.isfinite(value)}
        drawn = completed(given, stream, self.canvas)
        every = np.array([drawn.get(name, np.nan) for name in domain.attribute_names], dtype=np.float32)
        return np.where(unknown, every, values)

    def identity(self) -> dict[str, str | int]:
        return {"source": "masks", "masks_sha256": self.sha256, "masks": len(self.rows)}

    def notes(self) -> list[str]:
        return [] if self.canvas.maps else [
            "this bundle makes images from attributes: those measured on the label maps are what is asked for, and the "
            "maps themselves are not written, for no image shows them."]


def read_masks(path: str | os.PathLike[str], canvas: Canvas, subset: str = "") -> MaskRequests:
    """Requests from a masks file: a dataset (.h5), or a subset of it, or a numpy array (.npy) of shape (M, *spatial).

    Raises InputError for another shape, spacing or type, unknown label values or an unreadable file. Every mask is
    read once, block by block.
    """
    source = Path(path)
    if source.suffix != ".npy":
        return mask_requests(dataset_masks(source, canvas.spacing_mm, canvas.domain, subset), canvas, str(source))
    if subset:
        raise InputError(f"{source}: an array has no subset {subset!r}. Give a dataset (.h5), or leave the subset out.")
    return mask_requests(npy_masks(source), canvas, str(source))


def mask_requests(rows: MaskRows, canvas: Canvas, where: str) -> MaskRequests:
    """Check every mask of `rows`. Raises InputError."""
    if not len(rows):
        raise InputError(f"{where}: holds no masks.")
    shape = rows.block(slice(0, 1)).shape[1:]  # of one, for a block of others may be larger than memory
    if shape != canvas.shape:
        raise InputError(f"{where}: masks have shape {shape}, the bundle needs {canvas.shape} pixels of "
                         f"{canvas.spacing_mm} mm. Resample them.")
    digest = hashlib.sha256()
    step = samples_in_block(math.prod(shape))
    for start in range(0, len(rows), step):
        block = rows.block(slice(start, start + step))
        canvas.domain.labels.check(block, f"{where}, masks {start} to {start + len(block) - 1}")
        digest.update(np.ascontiguousarray(block, dtype=np.uint8).tobytes())
    return MaskRequests(rows, digest.hexdigest(), canvas)


def measured_attributes(masks: LabelMap, known: Sequence[NDArray[np.float32] | None],
                        domain: Domain, spacing_mm: tuple[float, ...] | None = None
                        ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(N, A) attributes of label maps and their (N, A) reasons.

    What a single map cannot tell is taken from `known`, one (A,) for each map, where that holds a number.
    spacing_mm: of the maps, for domains that measure lengths.
    """
    measurement = domain.measure(masks, spacing_mm)
    values, reasons = measurement.values.copy(), measurement.reasons.copy()
    for row, attributes in enumerate(known):
        if attributes is not None:
            fill = (reasons[row] == Reason.NEEDS_STACK) & np.isfinite(attributes)
            values[row, fill], reasons[row, fill] = attributes[fill], Reason.MEASURED
    return values, reasons

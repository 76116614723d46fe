"""What is requested of each sample: attributes, a label map, or nothing. A pure function of source, seed and index."""

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
from .canvas import Canvas, imaging_of, untaken
from .given_maps import MaskRows, dataset_masks, npy_masks
from .grid import Grid, GridRow
from .like import Like
from .painting import Painting
from .turns import row_of

NO_GRID_ROW = -1
_DRAWS = 4


@dataclass(frozen=True)
class SampleRequest:
    """One sample to generate.

    requested: (A,) in the domain's order and the user's units, NaN where undefined, unknown or not requested.
    mask: (*spatial) label map that the image must show; None if the image is made from attributes alone, or from
    nothing. condition: number of the condition that the sample shares with others of the run; None if it shares none.
    draws: how many label maps were sampled until one met the request; 0 if none was sampled. given: further inputs of
    the image, by the name of their source (`bundle/sources.py`). imaging: (B,) attributes of the image with its label
    map, NaN where undefined or not requested; None if the bundle takes none. like: a given image that the sample is
    drawn towards. noise_number: samples with the same number have the same noise; None: noise of its own. given_row:
    number of the given label map; None if it was drawn. before: (*spatial) that map before its lesion was edited; None
    if it was not. pair: number of the pair that the sample belongs to. painting: what of the image is painted anew.
    place: (P,) where the lesion is to lie, NaN where that is not requested; None where no place can be.
    """

    index: int
    grid_row: int
    requested: NDArray[np.float32]
    mask: LabelMap | None
    rotation_deg: float = 0.0
    condition: int | None = None
    draws: int = 0
    given: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    imaging: NDArray[np.float32] | None = None
    like: Like | None = None
    noise_number: int | None = None
    given_row: int | None = None
    before: LabelMap | None = None
    pair: int | None = None
    painting: Painting | None = None
    place: NDArray[np.float32] | None = None

    @property
    def noise_index(self) -> int:
        """The index whose streams the sample's noise comes from."""
        return self.index if self.noise_number is None else self.noise_number


class RequestSource(Protocol):
    """Where requests come from."""

    def request(self, seed: int, index: int) -> SampleRequest:
        """The request of sample `index` in the run with that seed."""

    def identity(self) -> Mapping[str, str | int | float]:
        """What determines the requests, in addition to seed and index; part of the plan."""

    def notes(self) -> list[str]:
        """Input of the user that has no effect, one line each."""


@dataclass(frozen=True)
class GridRequests:
    """Requests from a grid: attributes left out are completed, then an anatomy is sampled that meets them.

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
        anatomy = self.canvas.domain.require_anatomy().identity() if self.canvas.maps else {}
        stated = {"infeasible": self.grid.infeasible, "prompt": self.grid.prompt}
        return {"source": "grid", "grid_sha256": self.grid.sha256, "grid_rows": len(self.grid),
                **{name: value for name, value in stated.items() if value}, **anatomy}

    def notes(self) -> list[str]:
        turned = not self.canvas.maps and any(row.rotation_deg for row in self.grid.rows)
        without_effect = [": rotation_deg has no effect: this bundle needs no label map that could be turned."] * turned
        return [self.grid.name + note for note in (*(f", {note}" for note in self.grid.notes), *without_effect)]


def draw_request(row: GridRow, number: int, canvas: Canvas, seed: int, index: int) -> SampleRequest:
    """Complete the row's attributes, and sample an anatomy for them if the bundle needs label maps.

    If no anatomy meets the attributes, those that the row leaves out are sampled again, a few times. Raises InputError
    after that.
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
    imaging = imaging_of(row, requested, canvas, seed, index)
    if drawn is None:
        return SampleRequest(index, number, canvas.only_conditions(requested), None, row.rotation_deg, imaging=imaging)
    free = [name not in complete for name in domain.attribute_names]
    if any(free):
        requested = np.where(free, domain.measure(drawn.labels[None], canvas.spacing_mm).values[0], requested)
    requested = canvas.only_conditions(requested)
    return SampleRequest(index, number, requested, drawn.labels, row.rotation_deg, draws=drawn.draws, imaging=imaging)


def completed(request: Mapping[str, float], stream: Stream, canvas: Canvas) -> dict[str, float]:
    """The request with values for the attributes that it leaves out. A domain without an anatomy takes them from a
    random row of the table of training data; without a table they stay out."""
    domain, table = canvas.domain, canvas.table
    if domain.anatomy is not None:
        return domain.anatomy.complete(request, stream, table)
    if table is None or not len(table):
        return dict(request)
    row = table[stream.choice(np.ones(len(table)))]
    return {**dict(zip(domain.attribute_names, row.tolist(), strict=True)), **request}


@dataclass(frozen=True)
class FreeRequests:
    """Requests for a bundle without conditions: nothing is requested."""

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

    The requested attributes are those measured on the mask. Attributes that cannot be measured on it come from the
    file, if it holds them. If images are conditioned on attributes, those still unknown are completed as if a grid had
    left them out. If images are conditioned on attributes alone, no image shows its map.
    """

    rows: MaskRows
    sha256: str
    canvas: Canvas

    def request(self, seed: int, index: int) -> SampleRequest:
        row = index % len(self.rows)
        return self.request_for(self.rows.mask(row), row, seed, index)

    def request_for(self, mask: LabelMap, row: int, seed: int, index: int,
                    asked: GridRow | None = None) -> SampleRequest:
        """The request of sample `index` that shows `mask`, which was made from the mask of `row`. asked: the row of a
        grid that goes with it."""
        values, reasons = measured_attributes(mask[None], [self.rows.known_attributes(row)], self.canvas.domain,
                                              self.canvas.spacing_mm)
        requested = values[0]
        if self.canvas.attributes:
            unknown = reasons[0] == Reason.NEEDS_STACK
            requested = self._completed(requested, unknown, Stream(seed, index, Purpose.CONDITION))
        imaging = imaging_of(asked or GridRow(0, {}), requested, self.canvas, seed, index)
        requested = self.canvas.only_conditions(requested)
        return SampleRequest(index, NO_GRID_ROW, requested, mask if self.canvas.maps else None, imaging=imaging)

    def _completed(self, values: NDArray[np.float32], unknown: NDArray[np.bool_],
                   stream: Stream) -> NDArray[np.float32]:
        """The attributes, with samples for the `unknown` ones; undefined attributes stay NaN."""
        domain = self.canvas.domain
        measured = {name: float(value) for name, value in zip(domain.attribute_names, values, strict=True)
                 if np.isfinite(value)}
        complete = completed(measured, stream, self.canvas)
        every = np.array([complete.get(name, np.nan) for name in domain.attribute_names], dtype=np.float32)
        return np.where(unknown, every, values)

    def identity(self) -> dict[str, str | int]:
        return {"source": "masks", "masks_sha256": self.sha256, "masks": len(self.rows)}

    def notes(self) -> list[str]:
        return [] if self.canvas.maps else [
            "this bundle makes images from attributes: it uses those measured on the label maps. The maps themselves "
            "are not written, because no image shows them."]


def read_masks(path: str | os.PathLike[str], canvas: Canvas, subset: str = "") -> MaskRequests:
    """Requests from a masks file: a dataset (.h5), or a subset of it, or a numpy array (.npy) of shape (M, *spatial).

    Raises InputError for a wrong shape, spacing or type, unknown label values or an unreadable file. Every mask is read
    once, block by block.
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
    shape = rows.block(slice(0, 1)).shape[1:]  # of one mask only: a block of a wrong shape may exceed the memory
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


def measured_attributes(masks: LabelMap, recorded: Sequence[NDArray[np.float32] | None],
                        domain: Domain, spacing_mm: tuple[float, ...] | None = None
                        ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(N, A) attributes of label maps and their (N, A) reasons.

    Attributes that cannot be measured on a single map come from `recorded`, one (A,) for each map, where it holds a
    number. spacing_mm: of the maps, for domains that measure lengths.
    """
    measurement = domain.measure(masks, spacing_mm)
    values, reasons = measurement.values.copy(), measurement.reasons.copy()
    for row, attributes in enumerate(recorded):
        if attributes is not None:
            fill = (reasons[row] == Reason.NEEDS_STACK) & np.isfinite(attributes)
            values[row, fill], reasons[row, fill] = attributes[fill], Reason.MEASURED
    return values, reasons

"""What each sample is asked for: attributes, a label map, or nothing. A pure function of the source, seed and index."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .attributes import Reason
from .domain import Domain
from .errors import DatasetError, InputError, list_faults
from .grid import Grid, GridRow, row_of
from .labels import LabelMap
from .noise import Purpose, Stream
from .store import Dataset, open_dataset

NO_GRID_ROW = -1
_DRAWS = 4
_BLOCK = 256


@dataclass(frozen=True)
class SampleRequest:
    """One sample to be generated.

    requested: (A,) in the domain's order and the user's units, NaN where undefined, unknown or not asked for.
    mask: (*spatial) label map that the image is to show; None where it is made from attributes alone, or from nothing.
    """

    index: int
    grid_row: int
    requested: NDArray[np.float32]
    mask: LabelMap | None
    rotation_deg: float = 0.0


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
    own prior. attributes: names of the attributes that images are made from in the place of label maps: no map is
    drawn, and no other attribute can be asked for; None: a label map is drawn for each sample.
    """

    domain: Domain
    shape: tuple[int, ...]
    spacing_mm: tuple[float, ...]
    table: NDArray[np.float64] | None = None
    attributes: tuple[str, ...] | None = None

    def told(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(A,) attributes of a request without those that the image is not made from."""
        if self.attributes is None:
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
        return {"source": "grid", "grid_sha256": self.grid.sha256, "grid_rows": len(self.grid)}

    def notes(self) -> list[str]:
        turned = self.canvas.attributes is not None and any(row.rotation_deg for row in self.grid.rows)
        return [f"{self.grid.name}: rotation_deg has no effect, for this bundle draws no anatomy that could be turned."
                ] if turned else []


def untaken(row: GridRow, canvas: Canvas) -> list[str]:
    """A fault for each attribute asked for that images are not made from."""
    taken = canvas.attributes
    return [] if taken is None else [f"{name} is not a condition of this bundle. It takes: {', '.join(taken)}"
                                     for name in row.request if name not in taken]


def draw_request(row: GridRow, number: int, canvas: Canvas, seed: int, index: int) -> SampleRequest:
    """Complete the row's attributes, and draw an anatomy for them where the bundle needs label maps.

    What was left out is drawn again, a few times, where no anatomy is found. Raises InputError after that.
    """
    domain, conditions = canvas.domain, Stream(seed, index, Purpose.CONDITION)
    mask = None
    for attempt in range(_DRAWS):
        complete = domain.anatomy.complete(row.request, conditions, canvas.table)
        if canvas.attributes is not None:
            break
        try:
            mask = domain.anatomy.draw(complete, Stream(seed, index, Purpose.ANATOMY, attempt), shape=canvas.shape,
                                       spacing_mm=canvas.spacing_mm, rotation_deg=row.rotation_deg)
            break
        except InputError:
            if attempt == _DRAWS - 1:
                raise
    requested = np.array([complete.get(name, np.nan) for name in domain.attribute_names], dtype=np.float32)
    return SampleRequest(index, number, canvas.told(requested), mask, row.rotation_deg)


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


class MaskRows(Protocol):
    """Label maps by row: an array in memory, a memory map, or a dataset file."""

    def __len__(self) -> int: ...

    def mask(self, row: int) -> LabelMap: ...

    def known_attributes(self, row: int) -> NDArray[np.float32] | None: ...


@dataclass(frozen=True)
class ArrayMasks:
    """(M, *spatial) label maps in memory, or memory-mapped."""

    masks: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.masks)

    def mask(self, row: int) -> LabelMap:
        return np.asarray(self.masks[row]).astype(np.uint8)

    def known_attributes(self, row: int) -> NDArray[np.float32] | None:
        return None


@dataclass(frozen=True)
class DatasetMasks:
    """The label maps of a dataset file, and the attributes that it holds for them."""

    dataset: Dataset
    attributes: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.dataset)

    def mask(self, row: int) -> LabelMap:
        return self.dataset.masks(row)

    def known_attributes(self, row: int) -> NDArray[np.float32] | None:
        return None if self.attributes is None else self.attributes[row]


@dataclass(frozen=True)
class MaskRequests:
    """Requests for given label maps: sample i shows mask i modulo their number.

    The attributes asked for are those measured on the mask; what it cannot tell is taken from the file, if known. Where
    images are made from attributes alone, those are all that is asked for, and no image shows its map.
    """

    rows: MaskRows
    sha256: str
    canvas: Canvas

    def request(self, seed: int, index: int) -> SampleRequest:
        row = index % len(self.rows)
        mask = self.rows.mask(row)
        values, _ = measured_attributes(mask[None], [self.rows.known_attributes(row)], self.canvas.domain)
        alone = self.canvas.attributes is not None
        return SampleRequest(index, NO_GRID_ROW, self.canvas.told(values[0]), None if alone else mask)

    def identity(self) -> dict[str, str | int]:
        return {"source": "masks", "masks_sha256": self.sha256, "masks": len(self.rows)}

    def notes(self) -> list[str]:
        return [] if self.canvas.attributes is None else [
            "this bundle makes images from attributes: those measured on the label maps are what is asked for, and the "
            "maps themselves are not written, for no image shows them."]


def read_masks(path: str | os.PathLike[str], canvas: Canvas) -> MaskRequests:
    """Requests from a masks file: a dataset (.h5) or a numpy array (.npy) of shape (M, *spatial).

    Raises InputError for another shape, spacing or type, unknown label values or an unreadable file. Every mask is
    read once, block by block.
    """
    source = Path(path)
    rows = _npy_masks(source) if source.suffix == ".npy" else _dataset_masks(source, canvas)
    return mask_requests(rows, canvas, str(source))


def mask_requests(rows: ArrayMasks | DatasetMasks, canvas: Canvas, where: str) -> MaskRequests:
    """Check every mask of `rows`. Raises InputError."""
    if not len(rows):
        raise InputError(f"{where}: holds no masks.")
    digest = hashlib.sha256()
    for start in range(0, len(rows), _BLOCK):
        block = rows.masks[start:start + _BLOCK] if isinstance(rows, ArrayMasks) else rows.dataset.masks(
            slice(start, start + _BLOCK))
        if block.shape[1:] != canvas.shape:
            raise InputError(f"{where}: masks have shape {block.shape[1:]}, the bundle needs {canvas.shape} pixels of "
                             f"{canvas.spacing_mm} mm. Resample them.")
        canvas.domain.labels.check(block, f"{where}, masks {start} to {start + len(block) - 1}")
        digest.update(np.ascontiguousarray(block, dtype=np.uint8).tobytes())
    return MaskRequests(rows, digest.hexdigest(), canvas)


def _npy_masks(source: Path) -> ArrayMasks:
    try:
        masks = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{source}: cannot be read as a numpy array ({error}). Save it with numpy.save.") from error
    if not isinstance(masks, np.ndarray) or masks.ndim < 3:
        raise InputError(f"{source}: expected an array of shape (masks, height, width).")
    return ArrayMasks(masks)


def _dataset_masks(source: Path, canvas: Canvas) -> DatasetMasks:
    try:
        dataset = open_dataset(source)
        if "masks" not in dataset:
            raise InputError(f"{source}: the dataset has no /masks.")
        if not np.allclose(dataset.spacing_mm, canvas.spacing_mm, rtol=0.01):
            raise InputError(f"{source}: pixels are {dataset.spacing_mm} mm, the bundle needs {canvas.spacing_mm}. "
                             "Resample the masks.")
        return DatasetMasks(dataset, _in_domain_order(dataset, canvas.domain))
    except DatasetError as error:
        raise InputError(f"masks file: {error}") from error


def _in_domain_order(dataset: Dataset, domain: Domain) -> NDArray[np.float32] | None:
    values, names = dataset.mask_attributes, dataset.attribute_names
    if values is None or set(names) != set(domain.attribute_names):
        return None
    return values[:, [names.index(name) for name in domain.attribute_names]]


def measured_attributes(masks: LabelMap, known: Sequence[NDArray[np.float32] | None],
                        domain: Domain) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """(N, A) attributes of label maps and their (N, A) reasons.

    What a single map cannot tell is taken from `known`, one (A,) for each map, where that holds a number.
    """
    measurement = domain.measure(masks)
    values, reasons = measurement.values.copy(), measurement.reasons.copy()
    for row, attributes in enumerate(known):
        if attributes is not None:
            fill = (reasons[row] == Reason.NEEDS_STACK) & np.isfinite(attributes)
            values[row, fill], reasons[row, fill] = attributes[fill], Reason.MEASURED
    return values, reasons

"""Label maps by row, from an array in memory, a numpy file or a dataset."""

from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError  # numpy raises it for a malformed header
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..domains.domain import Domain
from ..domains.labels import LabelMap
from ..errors import DatasetError, InputError, as_array
from ..store import Dataset, open_dataset


class MaskRows(Protocol):
    """Label maps by row: an array in memory, a memory map, or a dataset file."""

    def __len__(self) -> int: ...

    def mask(self, row: int) -> LabelMap: ...

    def block(self, rows: slice) -> NDArray[np.integer]: ...

    def known_attributes(self, row: int) -> NDArray[np.float32] | None: ...


@dataclass(frozen=True)
class ArrayMasks:
    """(M, *spatial) label maps in memory, or memory-mapped from the file `source`."""

    masks: NDArray[np.integer]
    source: Path | None = None

    def __reduce__(self) -> tuple[object, ...]:
        """Another process memory-maps the file itself."""
        return (ArrayMasks, (self.masks,)) if self.source is None else (npy_masks, (self.source.absolute(),))

    def __len__(self) -> int:
        return len(self.masks)

    def mask(self, row: int) -> LabelMap:
        return np.asarray(self.masks[row]).astype(np.uint8)

    def block(self, rows: slice) -> NDArray[np.integer]:
        return self.masks[rows]

    def known_attributes(self, row: int) -> NDArray[np.float32] | None:
        return None


@dataclass(frozen=True)
class DatasetMasks:
    """Label maps of a dataset file, and the attributes that the file holds for them.

    chosen: (M,) rows of the maps in the file, ascending. attributes: (M, A) in the domain's order.
    """

    dataset: Dataset
    chosen: NDArray[np.int64]
    attributes: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.chosen)

    def mask(self, row: int) -> LabelMap:
        return self.dataset.masks(int(self.chosen[row]))

    def block(self, rows: slice) -> NDArray[np.integer]:
        return self.dataset.masks(self.chosen[rows])

    def known_attributes(self, row: int) -> NDArray[np.float32] | None:
        return None if self.attributes is None else self.attributes[row]


def array_masks(masks: ArrayLike, shape: tuple[int, ...]) -> ArrayMasks:
    """(M, *spatial) label maps, or one of the given shape, in memory. Raises InputError for what is no array."""
    array = as_array(masks, "masks")
    if array.ndim not in (len(shape), len(shape) + 1):
        raise InputError(f"masks have shape {array.shape}, expected one map of shape {shape}, or several of shape "
                         f"{('M', *shape)}.".replace("'", ""))
    return ArrayMasks(array if array.ndim > len(shape) else array[None])


def npy_masks(source: Path) -> ArrayMasks:
    """The maps of a numpy file, (M, *spatial), memory-mapped. Raises InputError."""
    masks = mapped_array(source)
    if masks.ndim < 3:
        raise InputError(f"{source}: expected an array of shape (masks, height, width), or "
                         "(masks, depth, height, width) of volumes.")
    return ArrayMasks(masks, source)


def mapped_array(source: Path) -> NDArray[Any]:
    """The array of a numpy file, memory-mapped. Raises InputError."""
    try:
        if not source.is_file():  # a pipe would be waited for
            raise OSError("there is no such file")
        with np.errstate(over="ignore"):  # a product of sizes that wraps does not fit the file either
            array: NDArray[Any] = np.lib.format.open_memmap(source, mode="r")
    except (OSError, ValueError, EOFError, TypeError, OverflowError, SyntaxError, RuntimeError, MemoryError,
            TokenError) as error:
        raise InputError(f"{source}: cannot be read as a numpy array ({error}). Save it with numpy.save.") from error
    return array


def dataset_masks(source: Path, spacing_mm: tuple[float, ...], domain: Domain, subset: str = "") -> DatasetMasks:
    """The maps of a dataset file, or of a subset of it.

    Raises InputError if there are none, and if the file has another domain or another pixel size.
    """
    try:
        dataset = open_dataset(source)
        if "masks" not in dataset:
            raise InputError(f"{source}: the dataset has no /masks.")
        if dataset.domain != domain.name:
            raise InputError(f"{source}: is of the domain {dataset.domain!r}, the bundle of {domain.name!r}.")
        names = dataset.load_domain().labels.names
        if names != domain.labels.names:
            raise InputError(f"{source}: its labels are {list(names)}, those of the bundle "
                             f"{list(domain.labels.names)}.")
        if len(dataset.spacing_mm) != len(spacing_mm) or not np.allclose(dataset.spacing_mm, spacing_mm, rtol=0.01):
            raise InputError(f"{source}: pixels are {dataset.spacing_mm} mm, the bundle needs {spacing_mm}. "
                             "Resample the masks.")
        chosen, attributes = dataset.rows(subset or None), _in_domain_order(dataset, domain)
        return DatasetMasks(dataset, chosen, None if attributes is None else attributes[chosen])
    except DatasetError as error:
        raise InputError(f"masks file: {error}") from error


def _in_domain_order(dataset: Dataset, domain: Domain) -> NDArray[np.float32] | None:
    values, names = dataset.mask_attributes, dataset.attribute_names
    if values is None or set(names) != set(domain.attribute_names):
        return None
    return values[:, [names.index(name) for name in domain.attribute_names]]

"""Label maps by row, from an array in memory, a numpy file or a dataset."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .domain import Domain
from .errors import DatasetError, InputError
from .labels import LabelMap
from .store import Dataset, open_dataset


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


def npy_masks(source: Path) -> ArrayMasks:
    """The maps of a numpy file, (M, *spatial), memory-mapped. Raises InputError."""
    try:
        masks = np.load(source, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{source}: cannot be read as a numpy array ({error}). Save it with numpy.save.") from error
    if not isinstance(masks, np.ndarray) or masks.ndim < 3:
        raise InputError(f"{source}: expected an array of shape (masks, height, width).")
    return ArrayMasks(masks)


def dataset_masks(source: Path, spacing_mm: tuple[float, ...], domain: Domain) -> DatasetMasks:
    """The maps of a dataset file. Raises InputError where it has none, or pixels of another size."""
    try:
        dataset = open_dataset(source)
        if "masks" not in dataset:
            raise InputError(f"{source}: the dataset has no /masks.")
        if not np.allclose(dataset.spacing_mm, spacing_mm, rtol=0.01):
            raise InputError(f"{source}: pixels are {dataset.spacing_mm} mm, the bundle needs {spacing_mm}. "
                             "Resample the masks.")
        return DatasetMasks(dataset, _in_domain_order(dataset, domain))
    except DatasetError as error:
        raise InputError(f"masks file: {error}") from error


def _in_domain_order(dataset: Dataset, domain: Domain) -> NDArray[np.float32] | None:
    values, names = dataset.mask_attributes, dataset.attribute_names
    if values is None or set(names) != set(domain.attribute_names):
        return None
    return values[:, [names.index(name) for name in domain.attribute_names]]

"""Reading the columns of a group of a dataset file, and the group of one segmenter."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import DatasetError, InputError, OutOfRange, as_array
from .format import SEGMENTATION_COLUMNS, Column
from .guard import reading
from .structure import as_text

Rows = int | slice | Sequence[int] | NDArray[np.integer]


class StoredColumns:
    """Row access shared by a dataset and its segmentations."""

    def __init__(self, path: Path, group: h5py.Group, columns: dict[str, Column]) -> None:
        self.path = path
        self._group = group
        self._columns = columns

    def __contains__(self, column: str) -> bool:
        return self._columns[column].path in self._group

    def _dataset(self, column: str) -> h5py.Dataset:
        target = self._columns[column].path
        if target not in self._group:
            where = f"{self._group.name.rstrip('/')}/{target}"
            raise DatasetError(f"{self.path}: has no {where}. Use a file that has it, or run the step that writes it.")
        return self._group[target]

    def _rows(self, column: str, rows: Rows) -> NDArray[np.generic]:
        dataset = self._dataset(column)
        chosen = _checked_rows(rows, len(dataset), f"{self.path}: {dataset.name}")
        with reading(self.path):
            if isinstance(chosen, np.ndarray) and chosen.size:
                unique, inverse = np.unique(chosen, return_inverse=True)  # h5py wants increasing row numbers
                return np.asarray(dataset[unique])[inverse]
            return np.asarray(dataset[chosen])

    def _all(self, column: str) -> NDArray[np.generic] | None:
        return self._rows(column, slice(None)) if column in self else None

    def _floats(self, column: str) -> NDArray[np.float32] | None:
        values = self._all(column)
        return None if values is None else values.astype(np.float32, copy=False)

    @property
    def place(self) -> NDArray[np.float32] | None:
        """(N, P) where the lesion of each label map lies, in the order of the domain's `PlaceRules`, NaN where
        undefined; None if not measured."""
        return self._floats("place")

    @property
    def place_reasons(self) -> NDArray[np.uint8] | None:
        """(N, P) why each value of `place` is NaN."""
        values = self._all("place_reasons")
        return None if values is None else values.astype(np.uint8, copy=False)

    def _texts(self, column: str, attribute: str) -> tuple[str, ...]:
        with reading(self.path):
            return tuple(as_text(value) for value in np.asarray(self._dataset(column).attrs.get(attribute, [])).ravel())


class Segmentation(StoredColumns):
    """One segmenter's label maps of a dataset, with attributes and scores: /segmentations/<name>."""

    def __init__(self, path: Path, group: h5py.Group) -> None:
        super().__init__(path, group, SEGMENTATION_COLUMNS)

    @property
    def name(self) -> str:
        return str(self._group.name.rsplit("/", 1)[-1])

    @property
    def metadata(self) -> dict[str, str | int | float]:
        with reading(self.path):
            return root_metadata(self._group)

    def masks(self, rows: Rows = slice(None)) -> NDArray[np.uint8]:
        """(n, *spatial) label maps of the chosen rows."""
        return self._rows("masks", rows).astype(np.uint8, copy=False)

    @property
    def attributes(self) -> NDArray[np.float32] | None:
        """(N, A) measured on `masks`; None if not measured."""
        return self._floats("attributes")

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return self._texts("attributes", "names")

    @property
    def attribute_reasons(self) -> NDArray[np.uint8] | None:
        values = self._all("attribute_reasons")
        return None if values is None else values.astype(np.uint8, copy=False)

    @property
    def image_attributes(self) -> NDArray[np.float32] | None:
        """(N, B) attributes of the images with `masks`; None if not measured."""
        return self._floats("image_attributes")

    @property
    def image_attribute_reasons(self) -> NDArray[np.uint8] | None:
        values = self._all("image_attribute_reasons")
        return None if values is None else values.astype(np.uint8, copy=False)

    @property
    def scores(self) -> NDArray[np.float32] | None:
        """(N, S) of `score_names` in `score_units`; None if not scored."""
        return self._floats("scores")

    @property
    def score_reasons(self) -> NDArray[np.uint8] | None:
        """(N, S) `ScoreReason` of each value of `scores`."""
        values = self._all("score_reasons")
        return None if values is None else values.astype(np.uint8, copy=False)

    def variance(self, rows: Rows = slice(None)) -> NDArray[np.float32]:
        """(n, C, *spatial) of the chosen rows: variance over the samples that an ensemble drew for each image, of the
        channels `variance_names`. Raises DatasetError for a segmenter that draws no samples."""
        return self._rows("variance", rows).astype(np.float32)

    @property
    def variance_names(self) -> tuple[str, ...]:
        """Regions or labels that the channels of `variance` and `sample_dice` stand for."""
        return self._texts("variance", "names")

    @property
    def sample_dice(self) -> NDArray[np.float32] | None:
        """(N, C) mean Dice of every two samples of an ensemble, NaN where all of them are empty; None if there is no
        ensemble."""
        return self._floats("sample_dice")

    @property
    def n_samples(self) -> int:
        """How many label maps of each image were kept of those that an ensemble drew; 0: none."""
        return int(self._dataset("samples").shape[1]) if "samples" in self else 0

    def samples(self, row: int) -> Iterator[NDArray[np.uint8]]:
        """The (*spatial) label maps of a row that an ensemble drew and that were kept, one at a time, in the order of
        drawing. Raises DatasetError where none were kept."""
        dataset = self._dataset("samples")
        for number in range(dataset.shape[1]):
            with reading(self.path):
                one = np.asarray(dataset[row, number], np.uint8)
            yield one

    @property
    def score_names(self) -> tuple[str, ...]:
        return self._texts("scores", "names")

    @property
    def score_units(self) -> tuple[str, ...]:
        return self._texts("scores", "units")


def _checked_rows(rows: Rows, count: int, where: str) -> Rows:
    """Rows as h5py takes them: none below 0, no step backwards. Raises OutOfRange, or InputError for no rows."""
    if isinstance(rows, slice):
        try:
            rows.indices(count)
        except (TypeError, ValueError) as error:
            raise InputError(f"{where}: {rows} does not name rows ({error}).") from error
        forwards = rows.step is None or rows.step > 0
        return rows if forwards else np.arange(count)[rows]
    numbers = as_array(rows, where)
    if numbers.dtype.kind == "b" and numbers.shape == (count,):
        return np.flatnonzero(numbers)
    if numbers.ndim > 1 or (numbers.dtype.kind not in "iu" and numbers.size):
        raise InputError(f"{where}: rows are {numbers.dtype} of shape {numbers.shape}, expected an integer, a slice "
                         "or a list of integers.")
    if numbers.size and not -count <= numbers.min() <= numbers.max() < count:
        raise OutOfRange(f"{where}: row {numbers.max() if numbers.max() >= count else numbers.min()} was asked for, "
                         f"expected 0 to {count - 1}.")
    chosen = np.where(numbers < 0, numbers + count, numbers).astype(np.int64)
    return chosen if numbers.ndim else int(chosen)


def root_metadata(group: h5py.Group) -> dict[str, str | int | float]:
    metadata: dict[str, str | int | float] = {}
    for name, value in group.attrs.items():
        if isinstance(value, str | bytes):
            metadata[name] = as_text(value)
        elif isinstance(value, np.generic) and value.dtype.kind in "iufb":
            metadata[name] = value.item()
    return metadata

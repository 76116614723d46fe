"""Columns of a dataset that hold one number or text for each sample."""

import numpy as np
from numpy.typing import NDArray

from .guard import reading
from .segmentation import StoredColumns
from .structure import as_text


class SampleColumns(StoredColumns):
    """Each is read whole; None if the file does not have it."""

    @property
    def grid_row(self) -> NDArray[np.int64] | None:
        """(N,) row of grid.csv that each sample belongs to, the first row after the header being 0."""
        return self._integers("grid_row")

    @property
    def sample_index(self) -> NDArray[np.int64] | None:
        return self._integers("sample_index")

    @property
    def condition(self) -> NDArray[np.int64] | None:
        """(N,) number of each sample's condition. Samples with the same number differ in their noise alone. None if
        every sample has a different condition."""
        return self._integers("condition")

    @property
    def draws(self) -> NDArray[np.int64] | None:
        """(N,) number of label maps drawn for each sample until one met its request; None if none were drawn."""
        return self._integers("draws")

    @property
    def tries(self) -> NDArray[np.int64] | None:
        """(N,) number of images generated for each sample until one passed the quality filter; None without one."""
        return self._integers("tries")

    @property
    def pair(self) -> NDArray[np.int64] | None:
        """(N,) number of the pair that each sample belongs to; None without pairs."""
        return self._integers("pair")

    @property
    def given_row(self) -> NDArray[np.int64] | None:
        """(N,) number of the given label map that each sample shows; None if label maps were drawn."""
        return self._integers("given_row")

    @property
    def checksum(self) -> NDArray[np.uint32] | None:
        """(N,) checksum of each sample, see `check.py`; None if the file has none."""
        values = self._all("checksum")
        return None if values is None else values.astype(np.uint32, copy=False)

    @property
    def slices(self) -> NDArray[np.int64] | None:
        return self._integers("slices")

    @property
    def patients(self) -> NDArray[np.str_] | None:
        """(N,) pseudonyms."""
        return self._strings("patients")

    @property
    def subset(self) -> NDArray[np.str_] | None:
        """(N,) name of the part of the cohort: train, val, test, ..."""
        return self._strings("subset")

    def _integers(self, column: str) -> NDArray[np.int64] | None:
        values = self._all(column)
        return None if values is None else values.astype(np.int64, copy=False)

    def _strings(self, column: str) -> NDArray[np.str_] | None:
        values = self._all(column)
        with reading(self.path):
            return None if values is None else np.array([as_text(value) for value in values], dtype=np.str_)

"""Reading and checking dataset files."""

import json
import math
import operator
import os
from collections.abc import Iterator, Set
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from ..bundle.declarations import carried_domain
from ..bundle.nature import NATURES
from ..domains.domain import Domain
from ..errors import DatasetError, InputError, checked_path
from ..files.blocks import samples_in_block
from .format import COLUMNS, FORMAT, STORED_MAX
from .guard import check_attributes, check_heaps, check_safe, reading
from .sample_columns import SampleColumns
from .segmentation import Rows, Segmentation, root_metadata
from .structure import as_text, check_columns, check_header


def open_dataset(path: str | os.PathLike[str]) -> "Dataset":
    """Open a dataset file for reading, after checking all of its structure.

    Raises DatasetError for a file that is missing, damaged, incomplete, newer than this program, inconsistent or unsafe
    (links, data in other files, unknown filters). Use it as a context manager.
    """
    return Dataset(checked_path(path, "open_dataset"))


class Dataset(SampleColumns):
    """An open dataset. Images and masks are read row by row; everything else is small and read whole."""

    def __init__(self, path: Path, without: Set[str] = frozenset()) -> None:
        """without: objects that are not looked at, because they will be replaced, for example "segmentations/a"."""
        try:
            if not path.is_file():
                raise DatasetError(f"{path}: no such file. Give the path of a {FORMAT} HDF5 file.")
            file = h5py.File(path, "r")
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            raise DatasetError(f"{path}: cannot be opened as HDF5 ({error}). Expected a {FORMAT} file.") from error
        super().__init__(path, file, COLUMNS)
        try:
            with reading(path):
                check_heaps(file, path)
                check_attributes(file, str(path))
                check_header(file, path)
                check_safe(file, str(path), without)
                check_columns(file, path, without)
        except DatasetError:
            file.close()
            raise

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the file for itself."""
        return open_dataset, (self.path.absolute(),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._group.file.close()

    def __len__(self) -> int:
        return int(self._dataset("images").shape[0])

    def __getitem__(self, row: int) -> dict[str, NDArray[Any]]:
        """One sample: image (C, *spatial) float32 and, where the file has masks, mask (*spatial) uint8.

        Raises OutOfRange, an InputError and an IndexError.
        """
        sample: dict[str, NDArray[Any]] = {"image": self.images(operator.index(row))}
        return {**sample, "mask": self.masks(operator.index(row))} if "masks" in self else sample

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        if not self._group:
            return f"<Dataset {self.path}, closed>"
        names = list(self.segmentations)
        return (f"<Dataset {self.path.name} of {self.domain[:40]}: {len(self)} images of {self.channels} x {self.shape}"
                f"{', with masks' * ('masks' in self)}, {len(names)} segmentation(s)>")

    @property
    def domain(self) -> str:
        with reading(self.path):
            return as_text(self._group.attrs["domain"])

    def load_domain(self) -> Domain:
        """The domain of labels and attributes: the one that the file declares, or the one of this package by name.

        Raises DatasetError for an unknown name without a declaration, and for a faulty declaration.
        """
        with reading(self.path):
            text = self._group.attrs.get("declared_domain")
            declared = None if text is None else json.loads(as_text(text))
        try:
            return carried_domain(self.domain, declared, str(self.path))
        except InputError as error:
            raise DatasetError(str(error)) from error

    @property
    def nature(self) -> str:
        """The kind of a cohort's images: "phantom" or "patients"; "" if the file does not state it."""
        with reading(self.path):
            stated = as_text(self._group.attrs.get("nature", ""))
        return stated if stated in NATURES else ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of one image."""
        return tuple(int(size) for size in self._dataset("images").shape[2:])

    @property
    def channels(self) -> int:
        return int(self._dataset("images").shape[1])

    @property
    def rows_at_once(self) -> int:
        """Samples in one block of memory; see `files/blocks.py`."""
        return samples_in_block(self.channels * math.prod(self.shape))

    @property
    def spacing_mm(self) -> tuple[float, ...]:
        return tuple(float(value) for value in self._dataset("images").attrs["spacing_mm"])

    @property
    def rescale(self) -> tuple[float, float]:
        """Slope and intercept: intensity = stored * slope + intercept."""
        with reading(self.path):
            attributes = self._dataset("images").attrs
            return float(attributes["rescale_slope"]), float(attributes["rescale_intercept"])

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the label values 0, 1, ... of /masks."""
        return self._texts("masks", "labels")

    @property
    def metadata(self) -> dict[str, str | int | float]:
        """The root attributes that are text or single numbers (seed, manifest, provider, ...)."""
        with reading(self.path):
            return root_metadata(self._group)

    def images(self, rows: Rows = slice(None)) -> NDArray[np.float32]:
        """(n, C, *spatial) intensities of the chosen rows; one integer gives (C, *spatial)."""
        stored, (slope, intercept) = self._rows("images", rows), self.rescale
        return (stored.astype(np.float64) * slope + intercept).astype(np.float32)

    def stored_images(self, rows: Rows = slice(None)) -> NDArray[np.uint16]:
        """(n, C, *spatial) as they are stored."""
        return self._rows("images", rows).astype(np.uint16, copy=False)

    def masks(self, rows: Rows = slice(None)) -> NDArray[np.uint8]:
        """(n, *spatial) label maps of the chosen rows; one integer gives (*spatial)."""
        return self._rows("masks", rows).astype(np.uint8, copy=False)

    def annotations(self, rows: Rows = slice(None)) -> NDArray[np.uint8]:
        """(n, *spatial) what a reader drew, where /masks holds the truth; one integer gives (*spatial)."""
        return self._rows("annotations", rows).astype(np.uint8, copy=False)

    def reference(self, rows: Rows = slice(None)) -> NDArray[np.uint8]:
        """(n, *spatial) what a segmentation is judged by, as its attributes are: the masks. They are what a synthetic
        image was made from, the truth of a phantom, and what was drawn in a patient's image."""
        return self.masks(rows)

    def drawn(self, rows: Rows = slice(None)) -> NDArray[np.uint8]:
        """(n, *spatial) what a segmenter learns: the annotations, else the masks."""
        return self.annotations(rows) if "annotations" in self else self.masks(rows)

    def _attribute_column(self) -> str:
        return next((name for name in ("mask_attributes", "requested") if name in self), "requested")

    @property
    def attribute_names(self) -> tuple[str, ...]:
        return self._texts(self._attribute_column(), "names") if self._attribute_column() in self else ()

    @property
    def attribute_units(self) -> tuple[str, ...]:
        return self._texts(self._attribute_column(), "units") if self._attribute_column() in self else ()

    @property
    def requested(self) -> NDArray[np.float32] | None:
        """(N, A) requested attributes, NaN where undefined; None in a cohort."""
        return self._floats("requested")

    @property
    def mask_attributes(self) -> NDArray[np.float32] | None:
        """(N, A) attributes measured on /masks, NaN where undefined."""
        return self._floats("mask_attributes")

    @property
    def mask_reasons(self) -> NDArray[np.uint8] | None:
        """(N, A) `Reason` of each value of `mask_attributes`."""
        values = self._all("mask_reasons")
        return None if values is None else values.astype(np.uint8, copy=False)

    @property
    def image_requested(self) -> NDArray[np.float32] | None:
        """(N, B) requested attributes of images, NaN where undefined or not requested; None if there are none."""
        return self._floats("image_requested")

    @property
    def image_attributes(self) -> NDArray[np.float32] | None:
        """(N, B) attributes of images with /masks, NaN where undefined; None if not measured."""
        return self._floats("image_attributes")

    @property
    def image_attribute_names(self) -> tuple[str, ...]:
        column = next((name for name in ("image_attributes", "image_requested") if name in self), "")
        return self._texts(column, "names") if column else ()

    @property
    def place_requested(self) -> NDArray[np.float32] | None:
        """(N, P) requested places of lesions, NaN where not requested; None if the file has none."""
        return self._floats("place_requested")

    def image_shares(self, rows: Rows = slice(None)) -> NDArray[np.float32]:
        """(n, C, *spatial) intensities as shares of the range that the file can store."""
        return (self.stored_images(rows).astype(np.float64) / STORED_MAX).astype(np.float32)

    def rows(self, subset: str | tuple[str, ...] | None = None) -> NDArray[np.int64]:
        """(n,) rows of a subset, or of several, in the order of the file; all of them for None.

        Raises InputError, with the names of the file's subsets, if none of those rows is in the file.
        """
        if subset is None:
            return np.arange(len(self), dtype=np.int64)
        subsets, column = (subset,) if isinstance(subset, str) else subset, self.subset
        rows = np.flatnonzero(np.isin(np.array([], np.str_) if column is None else column, subsets)).astype(np.int64)
        if not len(rows):
            names = [] if column is None else sorted(set(column.tolist()))
            raise InputError(f"{self.path}: has no subset {' or '.join(map(repr, subsets))}. Found: "
                             f"{', '.join(names) or 'no subsets at all'}.")
        return rows

    @property
    def segmentations(self) -> dict[str, Segmentation]:
        groups = self._group.get("segmentations", {})
        return {name: Segmentation(self.path, groups[name]) for name in sorted(groups)}

    def segmentation(self, name: str) -> Segmentation:
        """The named segmentation. Raises DatasetError with the known names."""
        segmentations = self.segmentations
        if name not in segmentations:
            raise DatasetError(f"{self.path}: has no segmentation {name!r}. Found: "
                               f"{', '.join(segmentations) or 'none'}. Run cldm segment first.")
        return segmentations[name]

"""Writes the columns of a dataset file: samples, segmentations, their attributes and scores."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..domains.domain import Domain
from ..errors import DatasetError, InputError, as_array
from ..metrics.overlap import ScoreReason
from .disk_stream import DiskStream
from .format import SEGMENTATION_COLUMNS, TEXT, Column, chunk_shape, encode_text


class ColumnWriter:
    """Appends rows to the columns of one group. Columns may be filled together or one after the other."""

    def __init__(self, target: Path, group: h5py.Group, columns: Mapping[str, Column], domain: Domain,
                 stream: DiskStream) -> None:
        self.target = target
        self._group = group
        self._columns = columns
        self._domain = domain
        self._stream = stream
        self._fresh: dict[str, int] = {}  # rows appended so far to each column that this writer started

    def _append(self, columns: Mapping[str, ArrayLike | None]) -> None:
        encoded = self._encoded({name: value for name, value in columns.items() if value is not None})
        if len({len(rows) for rows in encoded.values()}) > 1:
            raise DatasetError(f"append: the columns differ in length: { {n: len(v) for n, v in encoded.items()} }.")
        for name, rows in encoded.items():
            with writing(self._stream, self.target):
                self._extend(name, rows)

    def _encoded(self, columns: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.generic]]:
        return {name: self._encode(name, value) for name, value in columns.items()}

    def _extend(self, name: str, rows: NDArray[np.generic]) -> None:
        dataset = self._dataset(name, rows.shape[1:])
        if dataset.shape[1:] != rows.shape[1:]:
            raise DatasetError(f"append: {name} has rows of shape {rows.shape[1:]}, before: {dataset.shape[1:]}.")
        start = self._fresh[name]
        dataset.resize(start + len(rows), axis=0)
        dataset[start:] = rows
        self._fresh[name] = start + len(rows)

    def _encode(self, name: str, value: ArrayLike) -> NDArray[np.generic]:
        column = self._columns[name]
        if column.dtype.startswith("S"):
            return encode_text(np.asarray(value).tolist(), name)
        array = as_array(value, f"append: {name}")
        if np.dtype(column.dtype).kind in "iu" and array.dtype.kind not in "iu":
            raise DatasetError(f"append: {name} must be integers, found {array.dtype}. Convert them.")
        self._check_shape(name, column, array)
        if column.trailing in ("mask", "maps"):
            self._check_labels(name, array)
        elif column.dtype == "u1" and array.size and not 0 <= array.min() <= array.max() <= 255:
            raise DatasetError(f"append: {name} must be integers 0..255, found {array.min()} to {array.max()}.")
        return array.astype(column.dtype)

    def _check_shape(self, name: str, column: Column, array: NDArray[np.generic]) -> None:
        spatial = self._group.file["images"].shape[2:]
        expected = {"mask": spatial, "region": spatial, "attributes": (len(self._domain.attributes),),
                    "imaging": (len(self._domain.image_attributes),),
                    "place": (len(self._domain.place.names) if self._domain.place else 0,),
                    "": ()}.get(column.trailing)
        if column.trailing in ("channels", "maps"):
            expected = (*array.shape[1:2], *spatial)
        if array.ndim < 1 or (expected is not None and array.shape[1:] != expected):
            shape = ", ".join(["n", *map(str, expected or ())])
            raise DatasetError(f"append: {name} has shape {array.shape}, expected ({shape}).")

    def _check_labels(self, name: str, array: NDArray[np.integer]) -> None:
        try:
            self._domain.labels.check(array, f"append: {name}")
        except InputError as error:
            raise DatasetError(str(error)) from error

    def _dataset(self, name: str, trailing: tuple[int, ...]) -> h5py.Dataset:
        column = self._columns[name]
        if name in self._fresh:
            return self._group[column.path]
        if column.path in self._group:
            raise DatasetError(f"{self._group.name.rstrip('/')}/{column.path} exists already. Name it in `replace` to "
                               "write it again.")
        self._fresh[name] = 0
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if column.compress else {}
        dtype = TEXT if column.dtype.startswith("S") else column.dtype
        dataset = self._group.create_dataset(
            column.path, (0, *trailing), maxshape=(None, *trailing), dtype=dtype,
            chunks=chunk_shape(column, trailing), **options)
        self._describe(dataset, name, column)
        return dataset

    def _describe(self, dataset: h5py.Dataset, name: str, column: Column) -> None:
        domain = self._domain
        places = domain.place.attributes if domain.place else ()
        if values := {"attributes": domain.attributes, "imaging": domain.image_attributes,
                      "place": places}.get(column.trailing):
            dataset.attrs["names"] = [attribute.name for attribute in values]
            dataset.attrs["units"] = [attribute.unit for attribute in values]
        if name.endswith("reasons"):
            of_scores = {int(reason): reason.name.lower() for reason in ScoreReason}
            reasons = {"imaging": domain.image_reason_names, "place": domain.place_reason_names,
                       "scores": of_scores}.get(column.trailing, domain.reason_names)
            dataset.attrs["reasons"] = [f"{number} {text}" for number, text in reasons.items()]
        if column.trailing in ("mask", "maps"):
            dataset.attrs["labels"] = list(self._domain.labels.names)

    def _check_lengths(self, rows: int) -> None:
        wrong = {name: count for name, count in self._fresh.items() if count != rows}
        if wrong:
            raise DatasetError(f"{self._group.name}: columns {wrong} do not have the file's {rows} rows.")


class SegmentationWriter(ColumnWriter):
    """Fills /segmentations/<name>."""

    def _check_lengths(self, rows: int) -> None:
        if "masks" not in self._group:
            raise DatasetError(f"{self._group.name}: no label map was appended, so there is no segmentation.")
        super()._check_lengths(rows)

    def __init__(self, target: Path, group: h5py.Group, domain: Domain, stream: DiskStream) -> None:
        super().__init__(target, group, SEGMENTATION_COLUMNS, domain, stream)

    def append(self, *, masks: ArrayLike | None = None, attributes: ArrayLike | None = None,
               attribute_reasons: ArrayLike | None = None, image_attributes: ArrayLike | None = None,
               image_attribute_reasons: ArrayLike | None = None, place: ArrayLike | None = None,
               place_reasons: ArrayLike | None = None, scores: ArrayLike | None = None,
               score_reasons: ArrayLike | None = None, score_names: Sequence[str] = (),
               score_units: Sequence[str] = (), variance: ArrayLike | None = None,
               sample_dice: ArrayLike | None = None, samples: ArrayLike | None = None,
               channel_names: Sequence[str] = ()) -> None:
        """Add rows: masks (n, *spatial) uint8, attributes and their reasons (n, A), those of images with these masks
        and their reasons (n, B), places of lesions and their reasons (n, P), scores and their reasons (n, S), variance
        (n, C, *spatial) and Dice (n, C) of the samples of an ensemble, and those samples (n, K, *spatial) uint8.

        The names and units of the scores, and the names of the channels, are needed with the first rows.
        """
        named = scores is not None and "scores" not in self._fresh
        doubted = variance is not None and "variance" not in self._fresh
        channels = 0 if variance is None else np.asarray(variance).shape[1]
        if doubted and len(channel_names) != channels:
            raise DatasetError(f"append: {channels} channels of variance, {len(channel_names)} names; give one of "
                               "each.")
        width = 0 if scores is None else np.asarray(scores).shape[-1]
        if named and not (len(score_names) == len(score_units) == width):
            raise DatasetError(f"append: {width} scores, {len(score_names)} names, {len(score_units)} units; give one "
                               "of each.")
        self._append({"masks": masks, "attributes": attributes, "attribute_reasons": attribute_reasons,
                      "image_attributes": image_attributes, "image_attribute_reasons": image_attribute_reasons,
                      "place": place, "place_reasons": place_reasons,
                      "scores": scores, "score_reasons": score_reasons, "variance": variance,
                      "sample_dice": sample_dice, "samples": samples})
        if doubted:
            for name in ("variance", "sample_dice"):
                if name in self._group:
                    self._group[name].attrs["names"] = list(channel_names)
        if named:
            self._group["scores"].attrs["names"] = list(score_names)
            self._group["scores"].attrs["units"] = list(score_units)


@contextmanager
def writing(stream: DiskStream, target: Path) -> Iterator[None]:
    """Raises DatasetError if the block fails, or its data cannot be written to the disk."""
    try:
        yield
        if stream.failure is not None:
            raise stream.failure
    except (OSError, RuntimeError) as error:  # h5py has both
        raise DatasetError(
            f"{target}: writing failed ({why_not_written(error)}). Free some space and run again.") from error


def why_not_written(error: Exception) -> str:
    """The cause in a few words, taken from HDF5's long message."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    message = re.search(r"error message = '([^']+)'", str(error))
    return message[1] if message else " ".join(str(error).split())

"""Writing dataset files, row by row and atomically: a reader sees the whole file or none of it.

The file is written under a temporary name in the same folder, synced, and then linked or renamed to its final name. A
run that is killed leaves `<name>.<random>.partial`, which is never read and may be deleted.
"""

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..domains.domain import Domain
from ..errors import DatasetError, checked_kind, checked_path
from ..files.atomic import begin, file_behind, publish
from ..files.partial import remove_left_behind
from .check import check_samples, sample_checksums
from .columns import ColumnWriter, SegmentationWriter, why_not_written, writing
from .disk_stream import DiskStream
from .format import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    RESERVED,
    STORED_MAX,
    DatasetSpec,
    MetadataValue,
    check_metadata,
    encode_images,
)
from .guard import reading
from .reader import Dataset, open_dataset

_PUNCTUATION = str.maketrans("", "", "-_.")
_LIBVER = ("v108", "v108")  # the oldest file version that holds attributes above 64 KiB (the manifest's text)


def create_dataset(path: str | os.PathLike[str], spec: DatasetSpec, *, overwrite: bool = False,
                   verify: range | None = None) -> "DatasetWriter":
    """Start a new dataset file. It appears under its name when the writer closes without an error.

    verify: samples that the file must have. It is read again, and compared with its checksums, before it appears.
    Raises DatasetError if the file exists and `overwrite` is false, or if the folder cannot be written.
    """
    target = checked_path(path, "create_dataset")
    checked_kind(spec, DatasetSpec, "create_dataset: spec")
    if target.exists() and not overwrite:
        raise DatasetError(f"{target}: already exists. Choose another name or overwrite it.")
    writer = DatasetWriter(target, spec.domain, overwrite, verify)
    try:
        writer.start(spec)
    except BaseException:
        writer.discard()
        raise
    return writer


def edit_dataset(path: str | os.PathLike[str], *, replace: Sequence[str] = ()) -> "DatasetWriter":
    """Add columns or segmentations to a dataset file.

    The additions go to a copy, which replaces the file when the writer closes without an error: a reader always sees
    the whole old or the whole new file, even if the process is killed. `replace` names the objects that the copy leaves
    out because they are written again, for example "segmentations/nnunet" or "attributes/mask". The copy needs free
    space.
    """
    target, without = checked_path(path, "edit_dataset"), {name.strip("/") for name in replace}
    with Dataset(target, without) as dataset:
        domain = dataset.load_domain()
    writer = DatasetWriter(target, domain, overwrite=True)
    try:
        if "images" in without:
            raise DatasetError(f"{target}: /images cannot be replaced. Write another file with create_dataset.")
        with writing(writer._stream, target):
            writer.copy_from(target, without)
    except BaseException:
        writer.discard()
        raise
    return writer


class DatasetWriter(ColumnWriter):
    """Made by `create_dataset` and `edit_dataset`; use it as a context manager."""

    def __init__(self, target: Path, domain: Domain, overwrite: bool, verify: range | None = None) -> None:
        self._overwrite, self._verify = overwrite, verify
        behind = file_behind(target)
        try:
            remove_left_behind(behind.parent, behind)
            self._partial = begin(target)
            with ExitStack() as undo:
                undo.callback(self._partial.remove)
                stream = DiskStream(self._partial.path)
                undo.callback(stream.close)
                self._file = h5py.File(stream, "w", libver=_LIBVER)
                undo.pop_all()
        except OSError as error:
            raise DatasetError(f"{target}: cannot be written ({error.strerror or error}). Choose a name in a folder "
                               "that exists and that you may write to.") from error
        self._segmentations: list[SegmentationWriter] = []
        self._checksums = False
        self._edited: tuple[int, ...] | None = None
        super().__init__(target, self._file, COLUMNS, domain, stream)

    def start(self, spec: DatasetSpec) -> None:
        """Write the header of a new file."""
        attributes = self._file.attrs
        attributes["format"], attributes["format_version"] = FORMAT, np.int64(FORMAT_VERSION)
        attributes["complete"] = np.uint8(0)
        attributes["domain"] = spec.domain.name
        if spec.domain.declaration is not None:
            attributes["declared_domain"] = json.dumps(spec.domain.declaration)  # unsorted: regions have an order
        _set_attributes(self._file, spec.metadata)
        self._checksums = spec.checksums
        if spec.compress_images:
            self._columns = {**self._columns, "images": dataclasses.replace(self._columns["images"], compress=True)}
        low, high = spec.intensity_range
        images = self._dataset("images", (spec.channels, *spec.shape))
        images.attrs["rescale_slope"] = (high - low) / STORED_MAX
        images.attrs["rescale_intercept"] = float(low)
        images.attrs["spacing_mm"] = np.array(spec.spacing_mm, dtype=np.float64)

    def copy_from(self, source: Path, without: set[str]) -> None:
        """Copy everything from `source`, except the objects named in `without`."""
        self._edited = _state(source)
        with h5py.File(source, "r") as old:
            for name, value in old.attrs.items():
                self._file.attrs[name] = value
            self._copy_group(old, self._file, without, "")

    def _copy_group(self, old: h5py.Group, new: h5py.Group, without: set[str], prefix: str) -> None:
        for name in old:
            path = prefix + name
            if path in without:
                continue
            if isinstance(old[name], h5py.Group) and any(other.startswith(path + "/") for other in without):
                group = new.create_group(name)
                for key, value in old[name].attrs.items():
                    group.attrs[key] = value
                self._copy_group(old[name], group, without, path + "/")
            else:
                old.copy(name, new)

    def append(self, *, images: ArrayLike | None = None, masks: ArrayLike | None = None,
               annotations: ArrayLike | None = None, requested: ArrayLike | None = None,
               mask_attributes: ArrayLike | None = None, mask_reasons: ArrayLike | None = None,
               image_requested: ArrayLike | None = None, image_attributes: ArrayLike | None = None,
               image_reasons: ArrayLike | None = None, place_requested: ArrayLike | None = None,
               place: ArrayLike | None = None, place_reasons: ArrayLike | None = None,
               grid_row: ArrayLike | None = None, sample_index: ArrayLike | None = None,
               condition: ArrayLike | None = None, draws: ArrayLike | None = None, tries: ArrayLike | None = None,
               patients: ArrayLike | None = None, slices: ArrayLike | None = None, subset: ArrayLike | None = None,
               pair: ArrayLike | None = None, given_row: ArrayLike | None = None, painted: ArrayLike | None = None
               ) -> None:
        """Add n rows to each of the given columns.

        images (n, C, *spatial) float in the intensity range; masks, annotations (n, *spatial) uint8; requested,
        mask_attributes (n, A) float, mask_reasons (n, A) uint8, in the domain's order; image_requested,
        image_attributes, image_reasons (n, B) and place_requested, place, place_reasons (n, P) likewise; painted
        (n, *spatial) 0 or 1; the others (n,). At the end all columns must have the same number of rows.
        """
        self._append({"images": images, "masks": masks, "annotations": annotations, "requested": requested,
                      "mask_attributes": mask_attributes, "mask_reasons": mask_reasons,
                      "image_requested": image_requested, "image_attributes": image_attributes,
                      "image_reasons": image_reasons, "place_requested": place_requested, "place": place,
                      "place_reasons": place_reasons, "grid_row": grid_row, "sample_index": sample_index,
                      "condition": condition, "draws": draws, "tries": tries, "patients": patients, "slices": slices,
                      "subset": subset, "pair": pair, "given_row": given_row, "painted": painted})

    def _encoded(self, columns: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.generic]]:
        encoded = super()._encoded(columns)
        if self._checksums and "images" in encoded:
            images, masks, indices = (encoded.get(name) for name in ("images", "masks", "sample_index"))
            assert images is not None and indices is not None  # as the spec promises; masks too
            encoded["checksum"] = sample_checksums(images, masks, indices)
        return encoded

    def _encode(self, name: str, value: ArrayLike) -> NDArray[np.generic]:
        if name != "images":
            return super()._encode(name, value)
        attributes = self._file["images"].attrs
        low = float(attributes["rescale_intercept"])
        return encode_images(np.asarray(value), low, low + STORED_MAX * float(attributes["rescale_slope"]))

    def append_dataset(self, other: Dataset, chosen: NDArray[np.bool_] | None = None) -> None:
        """Add all rows of another file with the same spec, or the `chosen` ones (N,). If all are added, images and
        label maps are copied without decoding them where the rows so far fill whole chunks.

        Raises DatasetError if the other file is damaged or this one cannot be written.
        """
        for name in self._columns:
            if name in other:
                with writing(self._stream, self.target):
                    self._extend_from(name, other, None if chosen is None or chosen.all() else chosen)

    def _extend_from(self, name: str, other: Dataset, chosen: NDArray[np.bool_] | None) -> None:
        source = other._dataset(name)
        dataset, start = self._dataset(name, source.shape[1:]), self._fresh[name]
        rows, rest = dataset.chunks[0], (0,) * (source.ndim - 1)
        whole = self._columns[name].trailing in ("image", "mask", "region") and source.chunks == dataset.chunks
        if not whole or start % rows or chosen is not None:
            for row in range(0, len(source), rows):
                with reading(other.path):
                    values = source[row : row + rows]
                self._extend(name, values if chosen is None else values[chosen[row : row + rows]])
            return
        dataset.resize(start + len(source), axis=0)
        for row in range(0, len(source), rows):
            with reading(other.path):
                filters, stored = source.id.read_direct_chunk((row, *rest))
            dataset.id.write_direct_chunk((start + row, *rest), stored, filters)
        self._fresh[name] = start + len(source)

    def set_metadata(self, metadata: Mapping[str, MetadataValue]) -> None:
        """Set root attributes. Raises DatasetError for those of the format, and for values that it does not hold."""
        check_metadata(metadata, RESERVED)
        _set_attributes(self._file, metadata)

    def segmentation(self, name: str, metadata: Mapping[str, MetadataValue] | None = None) -> SegmentationWriter:
        """The writer of /segmentations/<name>, which is made if it does not exist."""
        plain = name.translate(_PUNCTUATION) if isinstance(name, str) else ""
        if not plain.isalnum() or name.startswith("."):
            raise DatasetError(f"segmenter name {name!r}: use letters, digits, '-', '_' and '.'.")
        check_metadata(metadata or {})
        group = self._file.require_group(f"segmentations/{name}")
        _set_attributes(group, metadata or {})
        writer = SegmentationWriter(self.target, group, self._domain, self._stream)
        self._segmentations.append(writer)
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self._commit()
        except BaseException:
            self.discard()
            raise

    def _commit(self) -> None:
        rows = int(self._file["images"].shape[0])
        if not rows and self._edited is None:
            raise DatasetError(f"{self.target}: no image was appended. Nothing was written.")
        for writer in (self, *self._segmentations):
            writer._check_lengths(rows)
        self._file.attrs["complete"] = np.uint8(1)
        with writing(self._stream, self.target):
            self._file.close()
        self._stream.close()
        try:
            if self._verify is not None:
                self._read_again(self._verify)
            if self._edited is not None and _state(self.target) != self._edited:
                raise DatasetError(f"{self.target}: was changed by another process meanwhile, and was not replaced. "
                                   "Run again.")
            publish(self._partial.path, self.target, overwrite=self._overwrite)
            self._partial.release()
        except OSError as error:
            raise DatasetError(f"{self.target}: writing failed ({why_not_written(error)}). "
                               "Free some space and run again.") from error

    def _read_again(self, samples: range) -> None:
        with open_dataset(self._partial.path) as written:
            faults = check_samples(written, samples)
        if faults:
            raise DatasetError(f"{self.target}: {len(faults.all)} samples differ from what was written when read back. "
                               "Check the disk and the memory of this machine.")

    def discard(self) -> None:
        """Close and remove the unfinished file."""
        with suppress(OSError, RuntimeError):
            self._file.close()
        self._stream.close()
        self._partial.remove()


def _state(path: Path) -> tuple[int, ...]:
    """Numbers that change when a file is replaced or written to: inode, size, time."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _set_attributes(group: h5py.Group, metadata: Mapping[str, MetadataValue]) -> None:
    for name, value in metadata.items():
        group.attrs[name] = value

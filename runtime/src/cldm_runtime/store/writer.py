"""Writing dataset files: streaming, and atomic in that a reader sees the whole file or none of it.

The file is written under a temporary name in the same folder, synced, and then linked or renamed to its own name. A run
that is killed leaves `<name>.<host>-<process>.partial` behind, which nobody reads and which may be deleted.
"""

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from types import TracebackType
from typing import Self

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..attributes import Reason
from ..domain import Domain, get_domain
from ..errors import DatasetError
from ..metrics import ScoreReason
from .check import check_samples, sample_checksums
from .disk_stream import DiskStream
from .format import (
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    SEGMENTATION_COLUMNS,
    STORED_MAX,
    TEXT,
    Column,
    DatasetSpec,
    MetadataValue,
    chunk_rows,
    encode_images,
    encode_text,
)
from .guard import reading
from .reader import Dataset, open_dataset

_LIBVER = ("v108", "v108")  # the oldest file version that holds attributes above 64 KiB (the manifest's text)


def create_dataset(path: str | os.PathLike[str], spec: DatasetSpec, *, overwrite: bool = False,
                   verify: range | None = None) -> "DatasetWriter":
    """Start a new dataset file; it appears under its name when the writer closes without an error.

    verify: samples that the file must hold; it is read again, and compared with its checksums, before it appears.
    Raises DatasetError if the file exists and `overwrite` is false, or if the folder cannot be written.
    """
    target = Path(path)
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

    The additions go to a copy, which takes the file's place when the writer closes without an error: whoever reads the
    file, or kills the process, finds the old or the new one, whole. `replace` names what the copy leaves out, to be
    written anew, for example "segmentations/nnunet" or "attributes/mask". Needs free space for the copy.
    """
    target = Path(path)
    with open_dataset(target) as dataset:
        domain = get_domain(dataset.domain)
    writer = DatasetWriter(target, domain, overwrite=True)
    try:
        with _writing(writer._stream, target):
            writer.copy_from(target, {name.strip("/") for name in replace})
    except BaseException:
        writer.discard()
        raise
    return writer


class _ColumnWriter:
    """Appends rows to the columns of one group. Columns may be filled in one pass or one after the other."""

    def __init__(self, target: Path, group: h5py.Group, columns: Mapping[str, Column], domain: Domain,
                 stream: DiskStream) -> None:
        self.target = target
        self._group = group
        self._columns = columns
        self._domain = domain
        self._stream = stream
        self._fresh: dict[str, int] = {}  # rows appended so far to each column that this writer started

    def _append(self, columns: Mapping[str, ArrayLike | None]) -> None:
        given = self._encoded({name: value for name, value in columns.items() if value is not None})
        if len({len(rows) for rows in given.values()}) > 1:
            raise DatasetError(f"append: the columns differ in length: { {n: len(v) for n, v in given.items()} }.")
        for name, rows in given.items():
            with _writing(self._stream, self.target):
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
        array = np.asarray(value)
        if column.dtype == "u1" and (array.dtype.kind not in "iu" or (array.size and array.max() > 255)):
            raise DatasetError(f"append: {name} must be integers 0..255, found {array.dtype}.")
        if column.trailing == "attributes" and array.shape[1:] != (len(self._domain.attributes),):
            raise DatasetError(f"append: {name} has shape {array.shape}, expected (n, {len(self._domain.attributes)}).")
        return array.astype(column.dtype)

    def _dataset(self, name: str, trailing: tuple[int, ...]) -> h5py.Dataset:
        column = self._columns[name]
        if name in self._fresh:
            return self._group[column.path]
        if column.path in self._group:
            raise DatasetError(f"{self._group.name.rstrip('/')}/{column.path} exists already. Name it in `replace` to "
                               "write it anew.")
        self._fresh[name] = 0
        row_bytes = int(np.prod(trailing, dtype=np.int64)) * np.dtype(column.dtype).itemsize
        options = {"compression": "gzip", "compression_opts": 1, "shuffle": True} if column.compress else {}
        dtype = TEXT if column.dtype.startswith("S") else column.dtype
        dataset = self._group.create_dataset(
            column.path, (0, *trailing), maxshape=(None, *trailing), dtype=dtype,
            chunks=(chunk_rows(row_bytes), *trailing), **options)
        self._describe(dataset, name, column)
        return dataset

    def _describe(self, dataset: h5py.Dataset, name: str, column: Column) -> None:
        if column.trailing == "attributes":
            dataset.attrs["names"] = list(self._domain.attribute_names)
            dataset.attrs["units"] = [attribute.unit for attribute in self._domain.attributes]
        if name.endswith("reasons"):
            reasons = ScoreReason if name.startswith("score") else Reason
            dataset.attrs["reasons"] = [f"{reason.value} {reason.name.lower()}" for reason in reasons]
        if column.trailing == "mask":
            dataset.attrs["labels"] = list(self._domain.labels.names)

    def _check_lengths(self, rows: int) -> None:
        wrong = {name: count for name, count in self._fresh.items() if count != rows}
        if wrong:
            raise DatasetError(f"{self._group.name}: columns {wrong} do not have the file's {rows} rows.")


class SegmentationWriter(_ColumnWriter):
    """Fills /segmentations/<name>."""

    def __init__(self, target: Path, group: h5py.Group, domain: Domain, stream: DiskStream) -> None:
        super().__init__(target, group, SEGMENTATION_COLUMNS, domain, stream)

    def append(self, *, masks: ArrayLike | None = None, attributes: ArrayLike | None = None,
               attribute_reasons: ArrayLike | None = None, scores: ArrayLike | None = None,
               score_reasons: ArrayLike | None = None, score_names: Sequence[str] = (),
               score_units: Sequence[str] = ()) -> None:
        """Add rows: masks (n, *spatial) uint8, attributes and their reasons (n, A), scores and their reasons (n, S).

        The names and units of the scores are needed with the first rows.
        """
        named = scores is not None and "scores" not in self._fresh
        width = 0 if scores is None else np.asarray(scores).shape[-1]
        if named and not (len(score_names) == len(score_units) == width):
            raise DatasetError(f"append: {width} scores, {len(score_names)} names, {len(score_units)} units; give one "
                               "of each.")
        self._append({"masks": masks, "attributes": attributes, "attribute_reasons": attribute_reasons,
                      "scores": scores, "score_reasons": score_reasons})
        if named:
            self._group["scores"].attrs["names"] = list(score_names)
            self._group["scores"].attrs["units"] = list(score_units)


class DatasetWriter(_ColumnWriter):
    """Made by `create_dataset` and `edit_dataset`; use it as a context manager."""

    def __init__(self, target: Path, domain: Domain, overwrite: bool, verify: range | None = None) -> None:
        self._overwrite, self._verify = overwrite, verify
        self._partial = partial_name(target)
        for leftover in target.parent.glob(f"{escape(target.name)}.*.partial"):
            if was_left_behind(leftover):
                leftover.unlink(missing_ok=True)
        try:
            stream = DiskStream(self._partial)
            self._file = h5py.File(stream, "w", libver=_LIBVER)
        except OSError as error:
            raise DatasetError(f"{target}: cannot be written ({error.strerror or error}). Choose a folder that exists "
                               "and that you may write to.") from error
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
        self.set_metadata(spec.metadata)
        self._checksums = spec.checksums
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
               requested: ArrayLike | None = None, mask_attributes: ArrayLike | None = None,
               mask_reasons: ArrayLike | None = None, grid_row: ArrayLike | None = None,
               sample_index: ArrayLike | None = None, condition: ArrayLike | None = None,
               draws: ArrayLike | None = None, patients: ArrayLike | None = None, slices: ArrayLike | None = None,
               subset: ArrayLike | None = None) -> None:
        """Add n rows to each of the given columns.

        images (n, C, *spatial) float in the intensity range; masks (n, *spatial) uint8; requested, mask_attributes
        (n, A) float, mask_reasons (n, A) uint8, in the domain's order; the others (n,). At the end all columns must
        have the same number of rows.
        """
        self._append({"images": images, "masks": masks, "requested": requested, "mask_attributes": mask_attributes,
                      "mask_reasons": mask_reasons, "grid_row": grid_row, "sample_index": sample_index,
                      "condition": condition, "draws": draws, "patients": patients, "slices": slices,
                      "subset": subset})

    def _encoded(self, columns: Mapping[str, ArrayLike]) -> dict[str, NDArray[np.generic]]:
        given = super()._encoded(columns)
        if self._checksums:
            images, masks, indices = (given.get(name) for name in ("images", "masks", "sample_index"))
            assert images is not None and indices is not None  # as the spec promises
            given["checksum"] = sample_checksums(images, masks, indices)
        return given

    def _encode(self, name: str, value: ArrayLike) -> NDArray[np.generic]:
        if name != "images":
            return super()._encode(name, value)
        attributes = self._file["images"].attrs
        low = float(attributes["rescale_intercept"])
        return encode_images(np.asarray(value), low, low + STORED_MAX * float(attributes["rescale_slope"]))

    def append_dataset(self, other: Dataset) -> None:
        """Add all rows of another file with the same spec. Images and label maps are copied as they are stored, without
        decoding them, where the rows so far fill whole chunks.

        Raises DatasetError where the other file is damaged or this one cannot be written.
        """
        for name in self._columns:
            if name in other:
                with _writing(self._stream, self.target):
                    self._extend_from(name, other)

    def _extend_from(self, name: str, other: Dataset) -> None:
        source = other._dataset(name)
        dataset, start = self._dataset(name, source.shape[1:]), self._fresh[name]
        rows, rest = dataset.chunks[0], (0,) * (source.ndim - 1)
        whole = self._columns[name].trailing in ("image", "mask") and source.chunks == dataset.chunks
        if not whole or start % rows:
            for row in range(0, len(source), rows):
                with reading(other.path):
                    values = source[row : row + rows]
                self._extend(name, values)
            return
        dataset.resize(start + len(source), axis=0)
        for row in range(0, len(source), rows):
            with reading(other.path):
                filters, stored = source.id.read_direct_chunk((row, *rest))
            dataset.id.write_direct_chunk((start + row, *rest), stored, filters)
        self._fresh[name] = start + len(source)

    def set_metadata(self, metadata: Mapping[str, MetadataValue]) -> None:
        """Set root attributes."""
        _set_attributes(self._file, metadata)

    def segmentation(self, name: str, metadata: Mapping[str, MetadataValue] | None = None) -> SegmentationWriter:
        """The writer of /segmentations/<name>, which is made if it does not exist."""
        if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum() or name.startswith("."):
            raise DatasetError(f"segmenter name {name!r}: use letters, digits, '-', '_' and '.'.")
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
        for writer in (self, *self._segmentations):
            writer._check_lengths(rows)
        self._file.attrs["complete"] = np.uint8(1)
        with _writing(self._stream, self.target):
            self._file.close()
        self._stream.close()
        try:
            if self._verify is not None:
                self._read_again(self._verify)
            if self._edited is not None and _state(self.target) != self._edited:
                raise DatasetError(f"{self.target}: was changed by another process meanwhile, and is as that left it. "
                                   "Run again.")
            publish(self._partial, self.target, overwrite=self._overwrite)
        except OSError as error:
            raise DatasetError(f"{self.target}: writing failed ({_reason(error)}). Free some space and run again.") \
                from error

    def _read_again(self, samples: range) -> None:
        with open_dataset(self._partial) as written:
            faults = check_samples(written, samples)
        if faults:
            raise DatasetError(f"{self.target}: {len(faults.all)} samples read back otherwise than they were written. "
                               "Check the disk and the memory of this machine.")

    def discard(self) -> None:
        """Close and remove the unfinished file."""
        with suppress(OSError, RuntimeError):
            self._file.close()
        self._stream.close()
        self._partial.unlink(missing_ok=True)


def _state(path: Path) -> tuple[int, ...]:
    """Changes when a file is replaced or written to."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@contextmanager
def _writing(stream: DiskStream, target: Path) -> Iterator[None]:
    """Raises DatasetError where what is done within fails, or cannot be written to the disk."""
    try:
        yield
        if stream.failure is not None:
            raise stream.failure
    except (OSError, RuntimeError) as error:  # h5py has both
        raise DatasetError(f"{target}: writing failed ({_reason(error)}). Free some space and run again.") from error


def _reason(error: Exception) -> str:
    """What went wrong in a few words; HDF5 tells it amid addresses and times."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    found = re.search(r"error message = '([^']+)'", str(error))
    return found[1] if found else " ".join(str(error).split())


def _set_attributes(group: h5py.Group, metadata: Mapping[str, MetadataValue]) -> None:
    for name, value in metadata.items():
        group.attrs[name] = value


def partial_name(target: Path) -> Path:
    """A name beside the target that no other process, on this host or another, gives to a file of its own."""
    return target.with_name(f"{target.name}.{socket.gethostname()}-{os.getpid()}.partial")


def was_left_behind(partial: Path) -> bool:
    """Whether the process that wrote a `partial_name` on this host has ended. One of another host is not judged."""
    host, _, process = partial.name.removesuffix(".partial").rpartition("-")
    if not process.isdecimal() or not host.endswith(f".{socket.gethostname()}"):
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return int(process) == os.getpid()


def publish(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, atomically and durably. Raises DatasetError if the name is taken."""
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    if overwrite:
        partial.replace(target)
    else:
        try:
            os.link(partial, target)  # unlike a rename, fails when somebody else has made the file meanwhile
        except FileExistsError as error:
            raise DatasetError(f"{target}: was made by another process meanwhile. Choose another name.") from error
        except OSError:  # a file system without hard links: the check and the rename are then two steps
            if target.exists():
                raise
            partial.replace(target)
        else:
            partial.unlink()
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

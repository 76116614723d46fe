"""Refuses HDF5 files that would make a reader open other files, run plugins or allocate without bound."""

import math
from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..errors import DatasetError

MAX_DEPTH = 4
MAX_OBJECTS = 1000
MAX_ATTRIBUTES = 1000
MAX_ATTRIBUTE_BYTES = 16 * 1024**2
MAX_CHUNK_BYTES = 64 * 1024**2
MAX_COLUMN_BYTES = 128 * 1024**2  # of a column that is read whole
MAX_ROWS = 2**31
_DEFLATE_RATIO = 1100  # no stream of deflate unpacks to more than 1032 times its size
_HEAP, _HEAP_HEADER, _SMALLEST_HEAP = b"GCOL\x01", 16, 4096
_SEARCHED = 32 * 1024**2
_READ_BY_ROWS = ("images", "masks", "annotations", "variance", "painted")
_READ_BY_MAPS = "samples"  # several of each row
_ALLOWED_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns all errors of h5py for a damaged or unreadable file into DatasetError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError,
            MemoryError) as error:
        raise DatasetError(f"{path}: cannot be read as HDF5, it is damaged or truncated ({error}). "
                           "Write or copy it again.") from error


def check_safe(group: h5py.Group, where: str, without: Set[str] = frozenset()) -> None:
    """Raise DatasetError if anything below `group`, except what is named, is not plain data, stored in the file itself.
    """
    seen = 0
    pending: list[tuple[h5py.Group, int]] = [(group, 0)]
    while pending:
        current, depth = pending.pop()
        for name in current:
            seen += 1
            path = f"{current.name.rstrip('/')}/{name}"
            if path[1:] in without:
                continue
            if seen > MAX_OBJECTS or depth >= MAX_DEPTH:
                raise DatasetError(f"{where}: more than {MAX_OBJECTS} objects or {MAX_DEPTH} levels at {path}. "
                                   "This is not a dataset of ours: do not use it.")
            if not isinstance(current.get(name, getlink=True), h5py.HardLink):  # before anything behind it is opened
                raise DatasetError(f"{where}: {path} is a soft or external link. Datasets must hold their own data: "
                                   "copy the data into the file.")
            item = current[name]
            check_attributes(item, f"{where}: {path}")
            if isinstance(item, h5py.Group):
                pending.append((item, depth + 1))
            else:
                _check_dataset(item, f"{where}: {path}")


def check_heaps(file: h5py.File, path: Path) -> None:
    """Raise DatasetError for a heap of variable-length text on which HDF5 2.0 loops for ever: it steps from object to
    object by their stated sizes, and one may state 0. The first and the last 32 MiB of the file are searched.
    """
    if file.id.get_create_plist().get_sizes() != (8, 8):
        raise DatasetError(f"{path}: states addresses and sizes in other than 8 bytes. Rewrite it with h5repack.")
    with path.open("rb") as stream:
        head = stream.read(_SEARCHED)
        stream.seek(max(len(head) - len(_HEAP), path.stat().st_size - _SEARCHED))
        for data in (head, stream.read(_SEARCHED)):
            place = data.find(_HEAP)
            while place >= 0:
                if _loops(data, place):
                    raise DatasetError(f"{path}: cannot be read as HDF5, a heap of text in it is damaged. Write or "
                                       "copy it again.")
                place = data.find(_HEAP, place + 1)


def _loops(data: bytes, place: int) -> bool:
    """Whether the objects of the heap collection at `place` do not lead to its end (H5HG in HDF5's format
    specification: header of 16 bytes with the size at 8; objects of index, count, padding, size, then data)."""
    end = place + int.from_bytes(data[place + 8:place + 16], "little")
    if not place + _SMALLEST_HEAP <= end <= len(data):
        return False  # no heap: HDF5 refuses it
    place += _HEAP_HEADER
    while place + _HEAP_HEADER <= end:
        index, size = (int.from_bytes(data[place + start:place + stop], "little") for start, stop in ((0, 2), (8, 16)))
        step = _HEAP_HEADER + (size + 7) // 8 * 8 if index else size
        if step < _HEAP_HEADER or place + step > end:
            return True
        place += step
    return False


def check_attributes(item: h5py.Group | h5py.Dataset, where: str) -> None:
    """Raise DatasetError for attributes that are too many, too large, or neither numbers nor text. None is read."""
    count = h5py.h5a.get_num_attrs(item.id)
    if count > MAX_ATTRIBUTES:
        raise DatasetError(f"{where} has {count} attributes, expected at most {MAX_ATTRIBUTES}.")
    for index in range(count):
        attribute = h5py.h5a.open(item.id, index=index)
        kind, shape, name = attribute.get_type(), attribute.shape or (), attribute.name.decode(errors="replace")
        text = isinstance(kind, h5py.h5t.TypeStringID)
        if not (text or isinstance(kind, h5py.h5t.TypeIntegerID | h5py.h5t.TypeFloatID | h5py.h5t.TypeEnumID)):
            raise DatasetError(f"{where}: the attribute {name!r} is neither numbers nor text.")
        if math.prod(shape) * kind.get_size() > MAX_ATTRIBUTE_BYTES:
            raise DatasetError(f"{where}: the attribute {name!r} claims {list(shape)} values, more than "
                               f"{MAX_ATTRIBUTE_BYTES >> 20} MiB.")


def _check_dataset(item: object, where: str) -> None:
    if not isinstance(item, h5py.Dataset):
        raise DatasetError(f"{where} is a {type(item).__name__}. Only groups and datasets are allowed.")
    if item.is_virtual or item.external:
        raise DatasetError(f"{where} keeps its data in other files. Copy the data into the file.")
    if item.dtype.kind not in "iufSb" or h5py.check_dtype(vlen=item.dtype) or h5py.check_dtype(ref=item.dtype):
        raise DatasetError(f"{where} has type {item.dtype}. Only numbers and fixed-length strings are allowed.")
    properties = item.id.get_create_plist()
    filters = {properties.get_filter(number)[0] for number in range(properties.get_nfilters())}
    if filters - _ALLOWED_FILTERS:
        raise DatasetError(f"{where} uses HDF5 filters {sorted(filters - _ALLOWED_FILTERS)}. Allowed: gzip, shuffle, "
                           "fletcher32. Rewrite the file, for example with h5repack -f GZIP=1.")
    _check_size(item, where)


def _check_size(item: h5py.Dataset, where: str) -> None:
    """Raise DatasetError for sizes that do not fit in a reader's memory, or that the file only claims to have."""
    shape, itemsize, stored = item.shape or (), item.dtype.itemsize, item.id.get_storage_size()
    if item.chunks and math.prod(item.chunks) * itemsize > MAX_CHUNK_BYTES:
        raise DatasetError(f"{where} has chunks of {item.chunks}, more than {MAX_CHUNK_BYTES >> 20} MiB. Rechunk it.")
    if shape and shape[0] > MAX_ROWS:
        raise DatasetError(f"{where} claims {shape[0]} rows, more than {MAX_ROWS}.")
    name = item.name.rsplit("/", 1)[-1]
    by_rows = name in (*_READ_BY_ROWS, _READ_BY_MAPS) and len(shape) > 1
    at_once = shape[1 + (name == _READ_BY_MAPS):] if by_rows else shape
    size, most = math.prod(at_once) * itemsize, MAX_CHUNK_BYTES if by_rows else MAX_COLUMN_BYTES
    if size > most:
        raise DatasetError(f"{where} claims {list(shape)} values, more than {most >> 20} MiB"
                           f"{' in a row' if by_rows else ''}.")
    if math.prod(shape) * itemsize > _DEFLATE_RATIO * (stored + (stored > 0) * 1024):
        raise DatasetError(f"{where} claims {list(shape)} values, but the file holds {stored} bytes of them: data were "
                           "never written, or the file is truncated.")

"""Refuses HDF5 files that would make a reader open other files, run plugins or allocate without bound."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ..errors import DatasetError

MAX_DEPTH = 4
MAX_OBJECTS = 10_000
MAX_CHUNK_BYTES = 256 * 1024**2
MAX_ROWS = 2**31
_ALLOWED_FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns the ways in which h5py reports a damaged or unreadable file into one DatasetError."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path}: cannot be read as HDF5, it is damaged or truncated ({error}). "
                           "Write or copy it again.") from error


def check_safe(group: h5py.Group, where: str) -> None:
    """Raise DatasetError if anything below `group` is not plain, self-contained data."""
    seen = 0
    pending: list[tuple[h5py.Group, int]] = [(group, 0)]
    while pending:
        current, depth = pending.pop()
        for name in current:
            seen += 1
            path = f"{current.name.rstrip('/')}/{name}"
            if seen > MAX_OBJECTS or depth >= MAX_DEPTH:
                raise DatasetError(f"{where}: more than {MAX_OBJECTS} objects or {MAX_DEPTH} levels at {path}. "
                                   "This is not a dataset of ours: do not use it.")
            if not isinstance(current.get(name, getlink=True), h5py.HardLink):  # before anything behind it is opened
                raise DatasetError(f"{where}: {path} is a soft or external link. Datasets must hold their own data: "
                                   "copy the data into the file.")
            item = current[name]
            if isinstance(item, h5py.Group):
                pending.append((item, depth + 1))
            else:
                _check_dataset(item, f"{where}: {path}")


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
    if item.chunks and math.prod(item.chunks) * item.dtype.itemsize > MAX_CHUNK_BYTES:
        raise DatasetError(f"{where} has chunks of {item.chunks}, more than {MAX_CHUNK_BYTES >> 20} MiB. Rechunk it.")
    if item.shape and item.shape[0] > MAX_ROWS:
        raise DatasetError(f"{where} claims {item.shape[0]} rows, more than {MAX_ROWS}.")

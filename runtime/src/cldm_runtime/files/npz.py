"""Npz files, written to bytes, and read safely from untrusted sources.

numpy allocates the size that a header claims before it reads any data, and an archive may unpack to a thousand times
its size. So every claimed size is checked against the actual size and a limit before numpy allocates anything.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from tokenize import TokenError  # numpy raises it for a malformed header
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import BundleError

LARGEST = 2**27  # bytes, unpacked
MOST_MEMBERS = 10_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """The arrays of an npz file by key. Raises BundleError, whose message begins with `where`."""
    with _reading(where), zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = archive.infolist()
        size = sum(member.file_size for member in members)
        if size > LARGEST or len(members) > MOST_MEMBERS:
            raise BundleError(f"{where}: {len(members)} arrays of {size} bytes when unpacked, expected at most "
                              f"{MOST_MEMBERS} of {LARGEST}.")
        return {member.filename.removesuffix(".npy"): _read_member(archive, member) for member in members}


def npz_bytes(arrays: Mapping[str, ArrayLike]) -> bytes:
    """A compressed npz file. The same arrays give the same bytes."""
    stream, columns = io.BytesIO(), {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(stream, **columns)  # type: ignore[arg-type]  # of numpy's stubs
    return stream.getvalue()


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> NDArray[Any]:
    if member.compress_type not in _METHODS:
        raise ValueError(f"{member.filename} is compressed by method {member.compress_type}, expected deflate or none")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in _HEADERS:
            raise ValueError(f"{member.filename} is of npy version {version}, expected one of {list(_HEADERS)}")
        shape, fortran_order, dtype = _HEADERS[version](stream)
        values = stream.read()
    if dtype.kind not in "iufb" or dtype.itemsize * math.prod(shape) != len(values):
        raise ValueError(f"{member.filename} holds {len(values)} bytes and claims {dtype} {list(shape)}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran_order else "C").copy(order="K")


@contextmanager
def _reading(where: str) -> Iterator[None]:
    """Turns all errors of zipfile, zlib and numpy for a faulty file into BundleError."""
    try:
        yield
    except (ValueError, OSError, EOFError, RuntimeError, TypeError, SyntaxError, OverflowError, MemoryError,
            struct.error, zlib.error, zipfile.BadZipFile, TokenError) as error:
        raise BundleError(f"{where} is not a readable npz file: {error}.") from error

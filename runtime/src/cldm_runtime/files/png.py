"""Writes PNG images with numpy and zlib (RFC 2083), so that they need no imaging package."""

import struct
import zlib
from base64 import b64encode

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_COLOUR_TYPES = {2: 0, 3: 2}  # array dimensions -> PNG colour type: grey, RGB
_BITS = {np.dtype(np.uint8): 8, np.dtype(np.uint16): 16}


def png_bytes(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """A PNG file of (H, W) grey or (H, W, 3) RGB pixels, uint8 or uint16. Raises InputError for anything else."""
    if pixels.dtype not in _BITS or pixels.ndim not in _COLOUR_TYPES or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise InputError(f"png: found {pixels.dtype} {pixels.shape}, expected uint8 or uint16 (H, W) or (H, W, 3).")
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels.reshape(height, -1), pixels.dtype.newbyteorder(">")).view(np.uint8)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1)  # filter 0: rows as they are
    header = struct.pack(">IIBBBBB", width, height, _BITS[pixels.dtype], _COLOUR_TYPES[pixels.ndim], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def png_data_url(pixels: NDArray[np.uint8]) -> str:
    """The PNG as a data: URL."""
    return "data:image/png;base64," + b64encode(png_bytes(pixels)).decode("ascii")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

"""Attacks on label maps in numpy files."""

import io
from pathlib import Path

import numpy as np

from .bundles import npy
from .corpus import ATTACKS, Maker, hole, pipe

HUGE = 2**40


def file_of(data: bytes) -> Maker:
    def maker(folder: Path) -> Path:
        file = folder / "masks.npy"
        file.write_bytes(data)
        return file

    return maker


def saved(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


ATTACKS["masks"] = {
    "a_shape_of_petabytes": file_of(npy(f"({HUGE}, 128, 128)", bytes(100), "'|u1'")),
    "a_shape_whose_product_wraps_to_zero": file_of(npy(f"({2**32}, {2**32}, 128)", bytes(100), "'|u1'")),
    "a_shape_beyond_64_bits": file_of(npy(f"({2**70}, 128, 128)", bytes(100), "'|u1'")),
    "a_negative_shape": file_of(npy("(-1, 128, 128)", bytes(128 * 128), "'|u1'")),
    "empty_maps_without_end": file_of(npy(f"({HUGE}, 0, 128)", b"", "'|u1'")),
    "objects": file_of(npy("(1, 128, 128)", b"cos\nsystem\n(S'true'\ntR.", "'|O'")),
    "a_pickle": file_of(b"cos\nsystem\n(S'touch attacked'\ntR."),
    "records": file_of(npy("(1, 128, 128)", bytes(2 * 128 * 128), "[('a', '|u1'), ('b', '|u1')]")),
    "a_header_of_gigabytes": file_of(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100)),
    "a_header_that_is_code": file_of(npy("__import__('os').getpid()")),
    "a_header_that_nests": file_of(npy("(" * 9000)),
    "an_unknown_version": file_of(b"\x93NUMPY\x09\x00" + bytes(100)),
    "a_truncated_file": file_of(saved(np.zeros((2, 128, 128), np.uint8))[:5000]),
    "fractions": file_of(saved(np.full((1, 128, 128), 0.5))),
    "unknown_labels": file_of(saved(np.arange(128 * 128, dtype=np.int64).reshape(1, 128, 128) * 2**40)),
    "an_archive": file_of(b"PK\x03\x04" + bytes(100)),
    "nothing": file_of(b""),
    "a_file_of_a_terabyte": lambda folder: hole(folder / "masks.npy"),
    "a_pipe": lambda folder: pipe(folder / "masks.npy"),
    "a_pipe_for_a_dataset": lambda folder: pipe(folder / "masks.h5"),
}

"""Reading npz files whose headers and directories may lie."""

import io
import zipfile

import numpy as np
import pytest

from cldm_runtime.errors import BundleError
from cldm_runtime.files.npz import read_npz


def packed(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(shape: str, data: bytes = b"", dtype: str = "<f4") -> bytes:
    """A numpy file whose header says what it is told."""
    header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_arrays_come_back_as_they_were_saved():
    arrays = {"a/in/x": np.arange(6, dtype=np.float32).reshape(2, 3), "turned": np.asfortranarray(np.eye(3)[:2]),
              "steps": np.array(4), "none": np.zeros((0, 3), np.uint8)}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    found = read_npz(buffer.getvalue(), "file")
    assert all(np.array_equal(found[key], array) and found[key].dtype == array.dtype for key, array in arrays.items())
    assert found.keys() == arrays.keys() and all(array.flags.writeable for array in found.values())


@pytest.mark.parametrize("claim", ["(1000000000000,)", "(2, 3)", "(-1,)", "(99999999999999999999,)"])
def test_a_shape_that_is_not_there_is_refused(claim):
    with pytest.raises(BundleError, match="file is not a readable npz"):
        read_npz(packed(x=npy(claim, b"\0" * 4)), "file")


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(monkeypatch):
    monkeypatch.setattr("cldm_runtime.files.npz.LARGEST", 1000)
    with pytest.raises(BundleError, match="1 arrays of 4071 bytes when unpacked"):
        read_npz(packed(x=npy("(1000,)", b"\0" * 4000)), "file")

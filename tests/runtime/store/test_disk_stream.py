"""A disk that fills up: HDF5 is never told, the user is, once."""

import errno
import io
import random
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.store.disk_stream import DiskStream

resource = pytest.importorskip("resource", reason="file sizes cannot be limited on this system")


class Full(DiskStream):
    """From some moment on the disk is full."""

    def fill(self) -> None:
        self.failure = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("full_after", [0, 7, 100])
def test_it_reads_what_was_written_also_when_the_disk_is_full(tmp_path: Path, full_after: int) -> None:
    numbers, expected, stream = random.Random(0), io.BytesIO(), Full(tmp_path / "a")
    for count in range(100):
        if count == full_after:
            stream.fill()
        data, offset = numbers.randbytes(numbers.randrange(1, 50)), numbers.randrange(300)
        for file in (stream, expected):
            file.seek(offset)
            file.write(data)
        offset, buffer, wanted = numbers.randrange(300), bytearray(80), bytearray(80)
        stream.seek(offset)
        stream.readinto(buffer)
        expected.seek(offset)
        expected.readinto(wanted)
        assert buffer == wanted and stream.seek(0, io.SEEK_END) == expected.seek(0, io.SEEK_END)
    stream.close()
    assert full_after < 100 or (tmp_path / "a").read_bytes() == expected.getvalue()


def test_hdf5_closes_a_file_whose_disk_is_full(tmp_path: Path) -> None:
    stream = Full(tmp_path / "a.h5")
    with h5py.File(stream, "w") as file:
        file.create_dataset("x", data=np.arange(100_000), chunks=(1000,), compression="gzip")
        stream.fill()
        file.create_dataset("y", data=np.arange(100_000), chunks=(1000,))
        assert np.array_equal(file["y"][::7], np.arange(100_000)[::7])
    stream.close()


@pytest.mark.parametrize("limit", [3_000, 265_000, 495_000, 564_000])
def test_a_full_disk_is_one_message_and_one_exit_code(tiny_generator: Path, tmp_path: Path, limit: int) -> None:
    """In a process of its own, which must end in peace too."""
    (tmp_path / "grid.csv").write_text("infarct_size\n0.1\n0.2\n")
    command = [sys.executable, "-m", "cldm_runtime", "gen", "--n", "96", "--attributes", "grid.csv", "--bundle",
               str(tiny_generator), "--out", "a.h5", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False,
                          preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
    said = [line for line in done.stderr.splitlines() if not line.startswith("generating: ")]
    assert done.returncode == 4 and len(said) == 1 and "writing failed (File too large)" in said[0]
    assert not list(tmp_path.rglob("*.partial"))

"""Limits of what is opened: each holds exactly, and a little more is refused."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import DatasetSpec, create_dataset, guard, open_dataset
from cldm_runtime.store.format import chunk_rows

SPEC = DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three objects, /images, /masks and /attributes, and a fourth in the last; two levels."""
    with create_dataset(tmp_path / "a.h5", SPEC) as writer:
        writer.append(images=np.zeros((2, 1, 128, 128)), masks=np.zeros((2, 128, 128), np.uint8),
                      requested=np.zeros((2, 4)))
    return tmp_path / "a.h5"


@pytest.mark.parametrize(("limit", "most"), [("MAX_OBJECTS", 4), ("MAX_DEPTH", 2)])
def test_objects_and_levels_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int) -> None:
    monkeypatch.setattr(guard, limit, most)
    open_dataset(path).close()
    monkeypatch.setattr(guard, limit, most - 1)
    with pytest.raises(DatasetError, match="objects or"):
        open_dataset(path)


@pytest.mark.parametrize(("limit", "most", "message"), [
    ("MAX_ATTRIBUTES", 4, "has 4 attributes, expected at most 3"),  # of the root
    ("MAX_ATTRIBUTE_BYTES", 200, "claims"),
    ("MAX_CHUNK_BYTES", 16 * 128 * 128, "has chunks of"),  # 8 images of 2 bytes a pixel, 16 label maps of 1
    ("MAX_COLUMN_BYTES", 2 * 4 * 4, "claims"),  # /attributes/requested
    ("MAX_ROWS", 2, "claims 2 rows, more than 1"),
])
def test_sizes_may_reach_their_limit(path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int,
                                     message: str) -> None:
    monkeypatch.setattr(guard, limit, most)
    if limit == "MAX_ATTRIBUTE_BYTES":
        with h5py.File(path, "r+") as file:
            file.attrs["long"] = np.bytes_(b"x" * 200)
    open_dataset(path).close()
    monkeypatch.setattr(guard, limit, most - 1)
    with pytest.raises(DatasetError, match=message):
        open_dataset(path)


def heap(size: int, *objects: tuple[int, int]) -> bytes:
    """A heap collection of so many bytes with objects of (index, size of the data)."""
    data = b"GCOL\x01\0\0\0" + size.to_bytes(8, "little")
    for index, length in objects:
        data += index.to_bytes(2, "little") + bytes(6) + length.to_bytes(8, "little") + bytes((length + 7) // 8 * 8)
    return data


@pytest.mark.parametrize(("objects", "loops"), [
    ([(1, 9), (0, 4096 - 16 - 32)], False),  # 16 of the header, 16 + 16 of an object, and free space to the end
    ([(1, 9), (0, 0)], True),  # free space of no size: HDF5 stays where it is
    ([(1, 9), (0, 15)], True),
    ([(1, 9), (0, 4096 - 16 - 31)], True),  # beyond the end
    ([(1, 4096 - 16 - 16)], False),
    ([(1, 4096 - 16 - 15)], True),
])
def test_a_heap_must_lead_to_its_end(objects: list[tuple[int, int]], loops: bool) -> None:
    data = heap(4096, *objects).ljust(4096, b"\xff")[:4096]
    assert guard._loops(data, 0) == loops and guard._loops(b"." * 5 + data + b"." * 9, 5) == loops


def test_what_is_too_small_or_cut_off_is_no_heap() -> None:
    bad = heap(4096, (1, 9), (0, 0)).ljust(4096, b"\0")
    assert guard._loops(bad, 0) and not guard._loops(bad[:-1], 0)
    assert not guard._loops(heap(4095, (1, 9), (0, 0)).ljust(4096, b"\0"), 0)


@pytest.mark.parametrize("where", ["first bytes", "last bytes"])
def test_the_ends_of_a_file_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["empty"] = np.zeros(1024)
    size = (tmp_path / "a.h5").stat().st_size
    with (tmp_path / "a.h5").open("ab") as stream:
        stream.write(heap(4096, (1, 9), (0, 0)).ljust(4096, b"\0"))
    monkeypatch.setattr(guard, "_SEARCHED", 4096 if where == "last bytes" else size + 4096)
    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(DatasetError, match="a heap of text in it is damaged"):
        guard.check_heaps(file, tmp_path / "a.h5")


def test_chunks_hold_a_quarter_of_a_mebibyte() -> None:
    assert [chunk_rows(row) for row in (0, 1, 256, 257, 87381, 87382, 262144, 10**9)] == [
        1024, 1024, 1024, 1020, 3, 2, 1, 1]


def test_label_maps_are_compressed_and_images_are_not(path: Path) -> None:
    with h5py.File(path) as file:
        images, masks, requested = file["images"], file["masks"], file["attributes/requested"]
        assert (images.chunks[0], masks.chunks[0], requested.chunks) == (8, 16, (1024, 4))
        assert (images.compression, masks.compression, masks.compression_opts, masks.shuffle) == (None, "gzip", 1, True)
        assert requested.compression == "gzip" and requested.attrs["units"].tolist() == ["fraction"] * 4


def test_the_limits_are_those_of_the_document() -> None:
    assert (guard.MAX_OBJECTS, guard.MAX_DEPTH, guard.MAX_ATTRIBUTE_BYTES) == (1000, 4, 16 << 20)
    assert (guard.MAX_CHUNK_BYTES, guard.MAX_COLUMN_BYTES, guard.MAX_ROWS) == (64 << 20, 128 << 20, 1 << 31)


def test_a_group_where_a_column_belongs_is_named(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["masks"]
        file.create_group("masks")
    with pytest.raises(DatasetError, match="/masks is not a dataset"):
        open_dataset(path)

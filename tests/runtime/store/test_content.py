"""What a file holds now, by digest."""

import hashlib
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import (
    IMAGES,
    MASK_ATTRIBUTES_FROM,
    MASKS,
    Content,
    DatasetSpec,
    are_mask_attributes_stale,
    create_dataset,
    open_dataset,
    read_content,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Three samples of 4 x 4 pixels and two channels; label map i is i."""
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (4, 4), (1.0, 1.0), channels=2)) as writer:
        labels = np.broadcast_to(np.arange(3, dtype=np.uint8).reshape(3, 1, 1), (3, 4, 4))
        writer.append(images=np.linspace(0, 1, 96).reshape(3, 2, 4, 4), masks=labels)
    return tmp_path / "a.h5"


def sources(path: Path) -> dict[str, str]:
    with open_dataset(path) as dataset:
        return dict(read_content(dataset).derivation.sources)


def test_the_digest_of_label_maps_is_that_of_their_bytes(path: Path) -> None:
    labels = np.repeat(np.arange(3, dtype=np.uint8), 16).tobytes()
    assert sources(path)[MASKS] == hashlib.sha256(labels + b"('|u1(4, 4)',)").hexdigest()


@pytest.mark.parametrize(("changed", "place"), [(IMAGES, (2, 1, 3, 3)), (MASKS, (2, 3, 3))])
def test_the_last_value_of_either_changes_its_digest_alone(path: Path, changed: str, place: tuple[int, ...]) -> None:
    before = sources(path)
    with h5py.File(path, "r+") as file:
        file[changed][place] = 1
    after = sources(path)
    assert before.keys() == after.keys() == {IMAGES, MASKS}
    assert [name for name in before if before[name] != after[name]] == [changed]


def test_a_block_counts_the_values_of_all_channels(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cldm_runtime.store.reader.samples_in_block", lambda values: values)
    with open_dataset(path) as dataset:
        assert dataset.rows_at_once == 2 * 4 * 4


def test_a_row_s_checksum_covers_image_label_map_and_number(path: Path) -> None:
    with open_dataset(path) as dataset:
        stored, labels, found = dataset.stored_images(), dataset.masks(), read_content(dataset).checksums
    expected = [zlib.crc32(stored[row].astype("<u2").tobytes() + labels[row].tobytes() + row.to_bytes(8, "little"))
                for row in range(3)]
    assert found.tolist() == expected


def test_attributes_of_other_label_maps_are_stale(path: Path) -> None:
    with open_dataset(path) as dataset:
        content = read_content(dataset)
    with h5py.File(path, "r+") as file:
        file.create_dataset("attributes/mask", data=np.zeros((3, 4), np.float32)).attrs["names"] = [
            np.bytes_(name) for name in get_domain("lge").attribute_names]
        file.attrs[MASK_ATTRIBUTES_FROM] = np.bytes_(content.only(MASKS).text())
    with open_dataset(path) as dataset:
        assert not are_mask_attributes_stale(dataset, content)
        other = Content(content.derivation.__class__({MASKS: "0" * 64}, content.derivation.settings), content.checksums,
                        None)
        assert are_mask_attributes_stale(dataset, other)

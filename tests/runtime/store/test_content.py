"""What a file holds now, by digest."""

import hashlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import IMAGES, MASKS, DatasetSpec, create_dataset, open_dataset, read_content


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

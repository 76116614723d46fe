"""Samples that are lost, doubled or damaged are named, and files that do not hold what was written never appear."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import DatasetSpec, check_samples, create_dataset, edit_dataset, open_dataset
from cldm_runtime.store.check import sample_checksums

SPEC = DatasetSpec(get_domain("lge"), (4, 6), (1.0, 2.0), checksums=True)


def write(path: Path, indices: list[int], verify: range | None = None, masks: bool = True) -> Path:
    values = np.arange(len(indices) * 24).reshape(-1, 4, 6) / 10_000
    with create_dataset(path, SPEC, verify=verify) as writer:
        writer.append(images=values[:, None], masks=(values > 0.003).astype(np.uint8) if masks else None,
                      sample_index=indices)
    return path


def faults(path: Path, samples: range) -> tuple[list[int], list[int], list[int], list[int], bool]:
    with open_dataset(path) as dataset:
        found = check_samples(dataset, samples)
    return found.missing.tolist(), found.doubled.tolist(), found.damaged.tolist(), found.all.tolist(), bool(found)


def test_missing_doubled_and_foreign_samples_are_told_apart(tmp_path: Path) -> None:
    assert faults(write(tmp_path / "a.h5", [5, 6, 7]), range(5, 8)) == ([], [], [], [], False)
    assert faults(tmp_path / "a.h5", range(4, 7)) == ([4], [], [7], [4, 7], True)
    assert faults(tmp_path / "a.h5", range(5, 9)) == ([8], [], [], [8], True)
    assert faults(write(tmp_path / "b.h5", [5, 6, 6]), range(5, 7)) == ([], [6], [], [6], True)


@pytest.mark.parametrize(("column", "place"), [("images", (300, 0, 3, 5)), ("masks", (300, 0, 0)),
                                               ("sample_index", (300,))])
def test_one_changed_number_is_one_damaged_sample(tmp_path: Path, column: str, place: tuple[int, ...]) -> None:
    write(tmp_path / "a.h5", list(range(400)))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file[column][place] = file[column][place] + (200 if column == "sample_index" else 1)
    expected = ([300], [], [500, 500]) if column == "sample_index" else ([], [], [300])
    assert faults(tmp_path / "a.h5", range(400))[:3] == expected


def test_progress_counts_every_row(tmp_path: Path) -> None:
    counts: list[int] = []
    with open_dataset(write(tmp_path / "a.h5", list(range(300)), masks=False)) as dataset:
        assert not check_samples(dataset, range(300), counts.append)
    assert counts == [256, 44]


def test_a_checksum_covers_image_label_map_and_index() -> None:
    image, mask, index = np.array([[[1, 2]]], "<u2"), np.array([[3, 4]], np.uint8), np.array([5])
    found = [sample_checksums(image, None, index), sample_checksums(image, mask, index),
             sample_checksums(image + 1, mask, index), sample_checksums(image, mask + 1, index),
             sample_checksums(image, mask, index + 1)]
    assert len({int(value[0]) for value in found}) == 5
    assert found[0][0] == 0xAC655459  # CRC-32 of 01 00 02 00, 05 00 00 00 00 00 00 00


def test_a_file_without_checksums_is_named(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "a.h5", DatasetSpec(get_domain("lge"), (4, 6), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((1, 1, 4, 6)), sample_index=[0])
    with open_dataset(tmp_path / "a.h5") as dataset, pytest.raises(DatasetError, match=r"a\.h5: has no /checksum"):
        check_samples(dataset, range(1))


def test_a_file_that_misses_samples_never_appears(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="2 samples differ from what was written"):
        write(tmp_path / "a.h5", [0, 1, 1], verify=range(3))
    assert not list(tmp_path.iterdir())
    assert write(tmp_path / "a.h5", [0, 1, 2], verify=range(3)).exists()


@pytest.mark.parametrize("rewritten", [True, False])
def test_an_edit_gives_way_to_another_process(tmp_path: Path, rewritten: bool) -> None:
    path = write(tmp_path / "a.h5", [0, 1, 2])
    with pytest.raises(DatasetError, match="was changed by another process"), edit_dataset(path) as editor:
        editor.segmentation("slow").append(masks=np.zeros((3, 4, 6), np.uint8))
        if rewritten:
            with h5py.File(path, "r+") as other:
                other.attrs["seed"] = 9
        else:
            with edit_dataset(path) as other:
                other.segmentation("quick").append(masks=np.zeros((3, 4, 6), np.uint8))
    with open_dataset(path) as dataset:
        assert list(dataset.segmentations) == ([] if rewritten else ["quick"]) and len(list(tmp_path.iterdir())) == 1

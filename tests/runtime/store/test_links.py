"""Pairs and given rows of a file."""

from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import DatasetError
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset
from cldm_runtime.store.links import painted, pairs_of


def write(path: Path, count: int, **columns: object) -> Path:
    with create_dataset(path, DatasetSpec(get_domain("lge"), (8, 8), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((count, 1, 8, 8)), **columns)
    return path


def test_links_are_read_back(tmp_path: Path) -> None:
    region = np.zeros((4, 8, 8), np.uint8)
    region[1, 2, 3] = 1
    file = write(tmp_path / "a.h5", 4, pair=[7, 7, 9, 9], given_row=[2, 2, 0, 0], painted=region)
    with open_dataset(file) as dataset:
        assert pairs_of(dataset).tolist() == [[0, 1], [2, 3]] and dataset.given_row.tolist() == [2, 2, 0, 0]
        np.testing.assert_array_equal(painted(dataset), region == 1)
        assert painted(dataset, slice(1, 2)).shape == (1, 8, 8)


def test_files_without_links_say_so(tmp_path: Path) -> None:
    with open_dataset(write(tmp_path / "a.h5", 2)) as dataset:
        assert dataset.given_row is None and painted(dataset) is None
        with pytest.raises(DatasetError, match="--pairs"):
            pairs_of(dataset)


@pytest.mark.parametrize("pair", [[0, 0, 1], [0, 1, 0], [0, 1, 0, 1], [3, 3, 3]])
def test_pairs_that_are_none_are_refused(tmp_path: Path, pair: list[int]) -> None:
    file = write(tmp_path / "a.h5", len(pair), pair=pair)
    with open_dataset(file) as dataset, pytest.raises(DatasetError, match="not two samples"):
        pairs_of(dataset)


def test_regions_have_the_shape_of_images(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="painted has shape"):
        write(tmp_path / "a.h5", 1, painted=np.zeros((1, 4, 4), np.uint8))

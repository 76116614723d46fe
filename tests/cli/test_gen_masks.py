"""`cldm gen --masks` with a grid and with subsets: what is written, noted and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_generator: Path) -> Path:
    """An empty working folder with a grid, masks as an array and as a dataset, and the tiny bundle in $CLDM_BUNDLE."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_generator))
    (tmp_path / "grid.csv").write_text("rotation_deg,widening_mm,label\n0,0,as it is\n90,2,moved\n")
    block = np.zeros((2, 128, 128), np.uint8)
    block[:, 40:60, 40:88], block[:, 45:55, 50:60], block[1, 45:55, 45:50] = 2, 3, 4  # a slab of wall with infarct
    np.save(tmp_path / "masks.npy", block)
    with create_dataset(tmp_path / "cohort.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=np.zeros((2, 1, 128, 128)), masks=block, subset=["test", "d8"])
    return tmp_path


def test_maps_and_rows_are_combined(cli: Cli, folder: Path) -> None:
    code, _, err = cli("--n", 4, "--masks", "masks.npy", "--attributes", "grid.csv")
    assert code == 0 and "note:" not in err
    with open_dataset(folder / "samples.h5") as dataset:
        masks, requested, measured = dataset.masks(), dataset.requested, dataset.mask_attributes
        assert dataset.grid_row.tolist() == [0, 1, 0, 1]
        plan = json.loads(str(dataset.metadata["plan"]))["requests"]
    given = np.load(folder / "masks.npy")
    assert np.array_equal(masks[[0, 2]], given) and np.array_equal(masks[3] == 4, np.rot90(given[1] == 4))
    assert requested[:2, 0] == pytest.approx([100 / 960, 184 / 960])  # + 4 sides of 20, 4 corners of 1
    assert np.array_equal(requested, measured, equal_nan=True)
    assert (plan["source"], plan["masks"], plan["grid_rows"]) == ("masks", 2, 2) and len(plan["grid_sha256"]) == 64


def test_the_same_command_gives_the_same_file(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("rotation_deg\n37.5\n-20\n")
    for name, seed in (("a.h5", 0), ("b.h5", 0)):
        cli("--n", 5, "--masks", "masks.npy", "--attributes", "grid.csv", "--out", name, "--seed", seed)
    assert (folder / "a.h5").read_bytes() == (folder / "b.h5").read_bytes()


def test_bundles_that_take_attributes_get_those_of_the_changed_map(cli: Cli, folder: Path,
                                                                   tiny_attributes: Path) -> None:
    flags = ["--masks", "masks.npy", "--attributes", "grid.csv", "--bundle", tiny_attributes]
    code, _, err = cli("--n", 2, *flags)
    assert code == 0 and "note: grid.csv: rotation_deg has no effect: no image shows a label map.\n" in err
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.requested[:, 0] == pytest.approx([100 / 960, 184 / 960]) and "masks" not in dataset


def test_a_subset_is_all_that_is_shown(cli: Cli, folder: Path) -> None:
    assert cli("--n", 2, "--masks", "cohort.h5", "--subset", "d8")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert np.array_equal(dataset.masks(), np.load(folder / "masks.npy")[[1, 1]])


@pytest.mark.parametrize(("arguments", "message"), [
    (["--masks", "cohort.h5", "--subset", "d9"], "cohort.h5: has no subset 'd9'. Found: d8, test."),
    (["--masks", "masks.npy", "--subset", "d8"], "masks.npy: an array has no subset 'd8'"),
    (["--attributes", "grid.csv", "--subset", "d8"], "Give the dataset: --masks FILE"),
    (["--attributes", "grid.csv"], "line 1: widening_mm changes given label maps, but none are given"),
    (["--masks", "masks.npy", "--attributes", "sizes.csv"], "line 1: infarct_size, slice_position cannot be requested"),
])
def test_what_does_not_go_together_is_said(cli: Cli, folder: Path, arguments: list[str], message: str) -> None:
    (folder / "sizes.csv").write_text("infarct_size,slice_position\n0.1,0.5\n")
    code, out, err = cli("--n", 1, *arguments)
    assert (code, out) == (2, "") and message in err and not (folder / "samples.h5").exists()

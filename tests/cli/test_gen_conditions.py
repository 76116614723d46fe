"""`cldm gen` with bundles that need attributes alone, or nothing: what is written, noted and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime import Generator
from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InterruptedRun
from cldm_runtime.generation import run as generate
from cldm_runtime.requests.grid import read_grid
from cldm_runtime.requests.sources import GridRequests
from cldm_runtime.store import DatasetSpec, create_dataset, open_dataset

Cli = Callable[..., tuple[int, str, str]]
GRID = "infarct_size,slice_position\n0.4,0.5\n0,\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_attributes: Path) -> Path:
    """An empty working folder with a grid, masks and the tiny bundle for attributes in $CLDM_BUNDLE."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(tiny_attributes))
    (tmp_path / "grid.csv").write_text(GRID)
    ring = np.full((1, 128, 128), 2, np.uint8)
    ring[:, 32:96, 32:96], ring[:, :, :16] = 1, 3
    np.save(tmp_path / "masks.npy", ring)
    return tmp_path


def test_a_grid_needs_no_masks_and_none_are_written(cli: Cli, folder: Path) -> None:
    code, _, err = cli("--n", 5, "--attributes", "grid.csv")
    assert code == 0 and "note:" not in err
    with open_dataset(folder / "samples.h5") as dataset:
        assert "masks" not in dataset and "mask_attributes" not in dataset and "mask_reasons" not in dataset
        requested, brightness = dataset.requested, dataset.images().mean(axis=(1, 2, 3))
        assert dataset.grid_row.tolist() == [0, 1, 0, 1, 0] and dataset.sample_index.tolist() == list(range(5))
    assert requested[:2, [0, 2]].tolist() == [[np.float32(0.4), requested[0, 2]], [0, 0]]
    assert np.isnan(requested[1, 1]) and requested[0, 1] >= 0.4 and np.isfinite(requested[:, 3]).all()
    assert brightness == pytest.approx([0.8, 0.4, 0.8, 0.4, 0.8], abs=0.02)


def test_masks_are_measured_and_not_written(cli: Cli, folder: Path) -> None:
    code, _, err = cli("--n", 1, "--masks", "masks.npy")
    assert code == 0 and err.startswith("note: this bundle makes images from attributes: ") and err.count("\n") == 2
    with open_dataset(folder / "samples.h5") as dataset:
        assert "masks" not in dataset and dataset.grid_row.tolist() == [-1]
        size = 16 / (128 - 64 * 64 / 128)
        assert dataset.requested[0, 0] == pytest.approx(size)
        assert dataset.images().mean() == pytest.approx(0.6 + size / 2, abs=0.02)


def test_positions_known_to_a_masks_file_are_asked_for(cli: Cli, folder: Path) -> None:
    masks, known = np.load(folder / "masks.npy"), np.array([[np.nan, np.nan, np.nan, 0.25]])
    with create_dataset(folder / "cohort.h5", DatasetSpec(get_domain("lge"), (128, 128), (1.0, 1.0))) as writer:
        writer.append(images=masks[:, None] / 4, masks=masks, mask_attributes=known)
    assert cli("--n", 1, "--masks", "cohort.h5")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.requested[0, 3] == 0.25


def test_a_rotation_without_anatomy_is_noted(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("infarct_size,rotation_deg\n0.4,30\n")
    code, out, err = cli("--n", 1, "--attributes", "grid.csv", "--dry-run", "--json")
    assert code == 0 and json.loads(out)["requests"]["source"] == "grid"
    assert err == ("note: grid.csv: rotation_deg has no effect: this bundle needs no label map that could be "
                   "turned.\n")


def test_rows_are_checked_as_for_masks(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("infarct_size,transmurality\n0.3,0.1\n")
    code, _, err = cli("--n", 1, "--attributes", "grid.csv")
    assert code == 2 and "line 2: transmurality = 0.1 is below infarct_size = 0.3" in err


def test_an_interrupted_run_resumes_to_the_same_bytes(cli: Cli, folder: Path, tiny_attributes: Path,
                                                      monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cldm_runtime.runs.run.PART_SAMPLES", 4)
    assert cli("--n", 9, "--attributes", "grid.csv", "--out", "whole.h5")[0] == 0
    model = Generator.load(tiny_attributes)
    source = GridRequests.spread(read_grid("grid.csv", model.domain), 9, model.canvas)
    with pytest.raises(InterruptedRun):
        generate.generate_dataset(generate.Plan(model, source, 9, 0, model.settings()), "a.h5", progress=stop)
    assert cli("--n", 9, "--attributes", "grid.csv", "--out", "a.h5", "--resume")[0] == 0
    assert (folder / "a.h5").read_bytes() == (folder / "whole.h5").read_bytes()


def test_guidance_goes_past_what_was_asked(cli: Cli, folder: Path) -> None:
    assert cli("--n", 2, "--attributes", "grid.csv", "--guidance", 1.25)[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.images().mean(axis=(1, 2, 3)) == pytest.approx([0.4 + 1.25 * 0.4, 0.4], abs=0.02)


def test_a_bundle_without_conditions_takes_a_number_alone(cli: Cli, folder: Path, tiny_free: Path) -> None:
    assert cli("--n", 3, "--bundle", tiny_free)[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert len(dataset) == 3 and "requested" not in dataset and "masks" not in dataset
        assert dataset.grid_row.tolist() == [-1] * 3 and json.loads(str(dataset.metadata["plan"]))["requests"] == {
            "source": "none"}


@pytest.mark.parametrize(("arguments", "message"), [
    (["--attributes", "grid.csv", "--bundle", "FREE"], "has no conditions: nothing can be requested of its images"),
    (["--masks", "masks.npy", "--bundle", "FREE"], "has no conditions: nothing can be requested of its images"),
    (["--attributes", "grid.csv", "--guidance", 2, "--bundle", "FREE"], "guidance = 2"),
    ([], "either --attributes CSV or --masks FILE"),
    (["--attributes", "grid.csv", "--masks", "masks.npy"], "either --attributes CSV or --masks FILE"),
])
def test_each_mistake_gives_one_message(cli: Cli, folder: Path, tiny_free: Path, arguments: list[object],
                                        message: str) -> None:
    code, out, err = cli("--n", 1, *(tiny_free if argument == "FREE" else argument for argument in arguments))
    assert (code, out) == (2, "") and message in err and "Traceback" not in err
    assert sorted(path.name for path in folder.iterdir()) == ["grid.csv", "masks.npy"]


def test_tokens_from_masks_write_the_masks(cli: Cli, folder: Path, tiny_shares: Path) -> None:
    assert cli("--n", 1, "--masks", "masks.npy", "--bundle", tiny_shares)[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert np.array_equal(dataset.masks(), np.load(folder / "masks.npy")) and "mask_attributes" in dataset

"""`cldm gen` with a bundle whose last graph applies noise: what is requested is measured; others are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.evaluation.steps import measure_dataset
from cldm_runtime.metrics.agreement import agreement
from cldm_runtime.store import open_dataset
from cldm_runtime.verification.replay import verify_bundle
from onnx_fixtures import make_generator

Cli = Callable[..., tuple[int, str, str]]
LEVELS = (0.02, 0.04, 0.06, 0.08, 0.1)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_generator(tmp_path_factory.mktemp("acquired") / "tiny", acquisition=acquisition_spec())


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLDM_BUNDLE", str(bundle))
    (tmp_path / "grid.csv").write_text("infarct_size,noise_level\n" + "".join(f"0.2,{level}\n" for level in LEVELS))
    return tmp_path


def test_its_last_graph_computes_the_physics(bundle: Path) -> None:
    checks = {check.name: check for check in verify_bundle(Bundle.load(bundle))}
    assert all(check.passed for check in checks.values())
    assert {"acquisition/acquired", "loop/in/noise_level_score", "loop/in/thermal_noise"} <= set(checks)


def test_the_noise_level_that_is_measured_is_that_requested(cli: Cli, folder: Path) -> None:
    assert cli("--n", 30, "--attributes", "grid.csv")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert dataset.image_attribute_names == ("lesion_contrast", "noise_level", "remote_nulling")
        requested = dataset.image_requested[:, 1]
        assert requested[:5].tolist() == pytest.approx(LEVELS) and np.isnan(dataset.image_requested[:, [0, 2]]).all()
    measure_dataset(folder / "samples.h5")
    with open_dataset(folder / "samples.h5") as dataset:
        found = agreement(requested, dataset.image_attributes[:, 1])
    assert found.r2.value >= 0.85 and 0.9 <= found.slope.value <= 1.1


def test_levels_that_are_left_out_are_drawn_and_recorded(cli: Cli, folder: Path) -> None:
    (folder / "free.csv").write_text("infarct_size\n0.1\n")
    assert cli("--n", 8, "--attributes", "free.csv")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        drawn = dataset.image_requested[:, 1]
    assert len(set(drawn.tolist())) == 8 and (drawn >= 0).all() and 0.01 < np.median(drawn) < 0.09


def test_the_heart_stays_while_the_noise_is_swept(cli: Cli, folder: Path) -> None:
    ring = np.full((128, 128), 2, np.uint8)
    ring[32:96, 32:96], ring[:, :16] = 1, 3
    np.save(folder / "masks.npy", ring[None])
    (folder / "sweep.csv").write_text("noise_level\n0.02\n0.1\n")
    assert cli("--n", 2, "--masks", "masks.npy", "--attributes", "sweep.csv")[0] == 0
    with open_dataset(folder / "samples.h5") as dataset:
        assert (dataset.masks() == ring).all() and dataset.grid_row.tolist() == [0, 1]
        assert dataset.image_requested[:, 1].tolist() == pytest.approx([0.02, 0.1])


def test_a_level_beyond_the_bundles_range_names_the_line(cli: Cli, folder: Path) -> None:
    (folder / "grid.csv").write_text("noise_level\n0.1\n0.3\n")
    code, _, err = cli("--n", 2, "--attributes", "grid.csv")
    assert code == 2 and "line 3: noise_level = 0.3 is outside 0..0.2" in err and not (folder / "samples.h5").exists()


@pytest.mark.parametrize("masks", [(), ("--masks", "masks.npy")])
def test_a_bundle_without_the_graph_cannot_be_asked(cli: Cli, folder: Path, tiny_generator: Path,
                                                    masks: tuple[str, ...]) -> None:
    (folder / "grid.csv").write_text("noise_level\n0.1\n")
    np.save(folder / "masks.npy", np.zeros((1, 128, 128), np.uint8))
    code, _, err = cli("--n", 2, "--attributes", "grid.csv", *masks, "--bundle", tiny_generator)
    assert code == 2 and err.count("noise_level cannot be requested of this bundle") == 1
    assert "Leave the column out, or use a bundle that takes it" in err and "Traceback" not in err


def test_python_takes_it_too_and_any_batch_size_gives_the_same_noise(bundle: Path) -> None:
    generator = Generator.load(bundle)
    one, two = (generator.sample({"infarct_size": 0.2, "noise_level": [0.01, 0.1]}, n=2, batch_size=size)[0]
                for size in (1, 2))
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert one[1].std() > one[0].std()

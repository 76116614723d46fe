"""The distribution of a cohort's acquisition, and what refuses another one."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from acquisition_fixtures import acquisition_spec
from cldm_runtime.bundle.acquisition_spec import VALUES
from cldm_runtime.errors import InputError
from cldm_trainer.config import AcquisitionConfig, Config
from cldm_trainer.stages import acquisition, texture
from cldm_trainer.stages.acquisition import distribution_of, load_spec, residual_noise
from cldm_trainer.stages.table import run_stage
from cldm_trainer.training.run_folder import RunFolder

REAL = AcquisitionConfig("real")


def test_the_distribution_that_images_were_drawn_from_is_found() -> None:
    """Noise of 0.01 to 0.09, pixels of 1.2 to 1.8 mm, alike along both axes, and a rim now and then."""
    random, truth = np.random.default_rng(0), acquisition_spec()
    scan = truth.scan({name: random.standard_normal(60) for name in truth.inputs})
    y, x = np.mgrid[:128, :128] / 127
    images = np.full((60, 1, 128, 128), 0.35) + 0.2 * (np.hypot(y - 0.5, x - 0.5) < 0.3)
    acquired = truth.scanner((1.0, 1.0)).acquire(images, random.standard_normal(images.shape), scan)
    found = distribution_of(np.rint(acquired[:, 0] * 65535) / 65535, REAL, (1.0, 1.0))
    for value, level in zip(found.values[:3], (scan.noise_level, scan.row_pixel_mm, scan.column_pixel_mm), strict=True):
        np.testing.assert_allclose(value.table.value(np.array([-1.0, 0, 1])), np.quantile(level, (0.16, 0.5, 0.84)),
                                   rtol=0.15)
    assert [value.name for value in found.values] == list(VALUES) and not list(found.faults())
    assert found.correlation[4] == pytest.approx(0.8, abs=0.2)  # of row and column pixels: third row, second number
    assert found.values[3].table.value(np.array([2.0])) == pytest.approx(np.quantile(scan.top, 0.977), abs=1)


@pytest.mark.parametrize("detection", ["real", "magnitude"])
def test_what_a_decoders_images_add_to_the_noise_is_found(detection: Literal["real", "magnitude"]) -> None:
    """Of images without noise next to nothing, of those with white noise its level."""
    spec = replace(acquisition_spec(), detection=detection)
    y, x = np.mgrid[:128, :128] / 127
    still = np.full((24, 1, 128, 128), 0.35) + 0.2 * (np.hypot(y - 0.5, x - 0.5) < 0.3)
    noisy = still + 0.05 * np.random.default_rng(1).standard_normal(still.shape)
    assert residual_noise(still, spec, (1.0, 1.0)) < 0.015
    assert residual_noise(noisy, spec, (1.0, 1.0)) == pytest.approx(0.05, rel=0.15)


def test_the_stage_is_of_one_cohort_and_one_section(small: Config) -> None:
    config = replace(small, acquisition=REAL)
    with pytest.raises(InputError, match=r"not found\. Make it first: `cldm-train acquisition`"):
        load_spec(REAL, RunFolder.of(config))
    run_stage("acquisition", config)
    spec = load_spec(REAL, RunFolder.of(config))
    assert spec is not None and spec.detection == "real" and spec.values[0].high is not None
    with pytest.raises(InputError, match="of another cohort or \\[acquisition\\] section"):
        load_spec(AcquisitionConfig("magnitude"), RunFolder.of(config))


def test_without_a_section_there_is_none(small: Config) -> None:
    assert load_spec(small.acquisition, RunFolder.of(small)) is None
    with pytest.raises(InputError, match=r"acquisition\.detection: empty"):
        acquisition.run(small.acquisition, RunFolder.of(small))


def test_an_adopted_texture_is_of_the_last_graph_of_its_bundle(tmp_path: Path) -> None:
    (tmp_path / "texture").mkdir()
    assert texture._acquisition_of(tmp_path / "texture") is None
    (tmp_path / "adopted.json").write_text('{"acquisition": {"detection": "real", "zero": 0.0}}')
    assert texture._acquisition_of(tmp_path / "texture") == {"detection": "real", "zero": 0.0}
    (tmp_path / "texture" / "config.json").write_text('{"channels": 4}')  # trained anew, for images without that graph
    assert texture._acquisition_of(tmp_path / "texture") is None

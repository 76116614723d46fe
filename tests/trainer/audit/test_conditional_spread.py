"""`cldm-train spread` with a phantom whose spread is known, and with a cohort that has no such truth."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

import onnx_fixtures
from cldm_runtime.errors import InputError
from cldm_trainer.audit.conditional_spread import SpreadSizes, attribute_bins, halves_spread, run, shown_row
from cldm_trainer.audit.sets import cohort_sets
from cldm_trainer.config import Config
from cldm_trainer.stages.config_file import load_config
from cohort_fixtures import write_drawn_cohort
from phantom_fixtures import LESION_SD, lge_with_rings, rings, use_rings

SIZES = SpreadSizes(maps=3, images=8)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    onnx_fixtures.make_generator(tmp_path / "lge")
    found = load_config(Path(__file__).parents[3] / "trainer" / "configs" / "phantom-tiny.toml")
    return dataclasses.replace(
        found, run=dataclasses.replace(found.run, folder=str(tmp_path / "runs"), threads=1),
        cohort=dataclasses.replace(found.cohort, folder=str(tmp_path / "cohort")),
        export=dataclasses.replace(found.export, generator=str(tmp_path / "lge")))


def test_against_the_phantom_s_own_spread(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch)
    page = run(config, "cldm-train spread", sizes=SIZES)
    figures = json.loads((page.parent / "spread.json").read_text())
    truth = figures["floor"]["infarct minus lv_cavity"]
    assert truth["reference_sd"]["value"] == pytest.approx(LESION_SD, rel=0.35)
    assert truth["ratio"]["low"] < 1 < truth["ratio"]["high"] and truth["groups"] == 3
    (bundle,) = figures["sets"]  # its images differ by faint noise alone, and its lesions are 0.2 brighter
    found = bundle["figures"]["infarct minus lv_cavity"]
    assert found["ratio"]["value"] < 0.4
    assert found["bias"]["value"] == pytest.approx(0.2, abs=0.06)
    assert f"| infarct minus lv_cavity | {truth['reference_mean']['value']:.4f} ± " in page.read_text()


def test_a_cohort_without_that_truth_is_compared_in_bins(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    use_rings(monkeypatch, rerender=False)
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 24})
    page = run(config, "cldm-train spread")
    figures = json.loads((page.parent / "spread.json").read_text())
    assert figures["held_fixed"] == "bin" and figures["slices"] == 24
    by_attribute = figures["sets"][0]["by_attribute"]
    assert "infarct_size" in by_attribute and by_attribute.keys() == figures["floor"].keys()
    assert by_attribute["infarct_size"]["noise"]["groups"] >= 3
    assert "in bins of infarct_size" in page.read_text()


def test_a_bundle_that_shows_no_label_map_is_refused(config: Config, tiny_attributes: Path) -> None:
    with pytest.raises(InputError, match="Give a bundle that takes label maps"):
        run(config, "cldm-train spread", bundles=[tiny_attributes])


def test_the_shown_slice_holds_the_lesion_where_one_does() -> None:
    labels = rings()
    labels[:2][labels[:2] == 3] = 2
    assert {shown_row(labels, lge_with_rings(), seed) for seed in range(9)} == {2}
    assert {shown_row(labels[:2], lge_with_rings(), seed) for seed in range(9)} == {0, 1}


def test_halves_are_of_whole_patients_and_bins_of_equal_numbers(config: Config) -> None:
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3, "test": 24})
    rows = cohort_sets(config.cohort_file).compared
    assert set(attribute_bins(rows)["infarct_size"].tolist()) <= set(range(5))
    patients = np.repeat(["a", "b", "c", "d"], 5)
    values = np.concatenate([np.arange(5.0), np.arange(5.0), np.arange(5.0), np.arange(5.0)])
    found = halves_spread({"x": values}, np.zeros(20, int), patients)["x"]
    assert found["ratio"]["value"] == pytest.approx(1.0) and found["bias"]["value"] == pytest.approx(0.0)

"""Test patients that are drawn for the results alone, of a domain whose phantoms say their patient's number."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cldm_runtime.domains.phantom_rules import DrawnVolume
from cldm_runtime.domains.registry import DOMAINS, get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.scans.phantom_cohort import write_phantom_cohort
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.store import cohort_digest, edit_dataset, open_dataset
from cldm_trainer.config import Config
from cldm_trainer.results.new_patients import cohort_of_results
from cldm_trainer.stages.config_file import load_config

ROOT = Path(__file__).parents[3]


def draw(seed: int, patient: int, subset: str) -> DrawnVolume:
    """Two slices of a ring whose cavity has a radius of 5 for old patients, of 7 for those from number 50 on."""
    y, x = np.mgrid[:40, :40]
    radius = np.hypot(y - 20, x - 20)
    inner = 7 if patient >= 50 else 5
    labels = np.stack([np.where(radius < inner, 1, np.where(radius < 10, 2, 0)).astype(np.uint8)] * 2)
    labels[:, 18:23, 27:30] = 3
    return DrawnVolume(labels * np.float32(10), labels, (8.0, 1.0, 1.0))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    lge = get_domain("lge")
    rules = replace(lge.phantoms["lge-1"], draw=draw)
    monkeypatch.setitem(DOMAINS, "rings", lambda: replace(lge, name="rings", phantoms={"thin": rules}))
    config = load_config(ROOT / "trainer" / "configs" / "phantom-tiny.toml")
    cohort = replace(config.cohort, folder=str(tmp_path / "cohort"), domain="rings",
                     patients={"train": 2, "val": 1, "test": 2, "d8": 1})
    config = replace(config, cohort=cohort, prepare=replace(config.prepare, workers=1),
                     results=replace(config.results, new_patients={"test": 3}, first_new_patient=50))
    write_phantom_cohort(cohort, tmp_path / "cohort" / "raw", workers=1)
    prepare(tmp_path / "cohort" / "raw", config.cohort_file, config.prepare, "rings")
    return config


def test_test_patients_are_others_and_all_the_rest_stays(config: Config) -> None:
    with open_dataset(config.cohort_file) as old, open_dataset(cohort_of_results(config)) as new:
        assert new.nature == "phantom"
        for subset in ("train", "val", "d8"):
            np.testing.assert_array_equal(new.images(new.rows(subset)), old.images(old.rows(subset)))
            assert new.patients[new.rows(subset)].tolist() == old.patients[old.rows(subset)].tolist()
        rows = new.rows("test")
        assert new.patients[rows].tolist() == ["NP0001"] * 2 + ["NP0002"] * 2 + ["NP0003"] * 2
        cavity = (new.masks(rows) == 1).sum(axis=(1, 2))
        assert (cavity > (old.masks(old.rows("test")) == 1).sum(axis=(1, 2)).max()).all()  # a radius of 7 and not 5


def test_it_is_made_once_and_again_for_another_cohort(config: Config) -> None:
    path = cohort_of_results(config)
    written = path.stat().st_mtime_ns
    assert cohort_of_results(config).stat().st_mtime_ns == written
    with open_dataset(path) as dataset:
        cohort_digest(dataset)  # raises where attributes are of other label maps
    with edit_dataset(config.cohort_file, replace=["subset"]) as editor, open_dataset(config.cohort_file) as dataset:
        editor.append(subset=["val" if name == "d8" else name for name in dataset.subset])
    assert cohort_of_results(config).stat().st_mtime_ns != written


def test_without_the_setting_it_is_the_cohort(config: Config) -> None:
    plain = replace(config, results=replace(config.results, new_patients={}))
    assert cohort_of_results(plain) == config.cohort_file


@pytest.mark.parametrize(("patients", "first", "message"), [
    ({"train": 1}, 50, "found train, expected subsets for testing alone"), ({"test": 3}, 1, "numbers from 2 on"),
    ({"test": 0}, 50, "at least one"), ({"d9": 1}, 50, "draws no subset 'd9'")])
def test_what_cannot_be_drawn_is_refused(config: Config, patients: dict[str, int], first: int, message: str) -> None:
    section = replace(config.results, new_patients=patients, first_new_patient=first)
    with pytest.raises(InputError, match=message):
        cohort_of_results(replace(config, results=section))


def test_patients_cannot_be_drawn(config: Config) -> None:
    with edit_dataset(config.cohort_file) as editor:
        editor.set_metadata({"nature": "patients"})
    with pytest.raises(InputError, match="holds no phantom"):
        cohort_of_results(config)

"""The phantom cohort is written as an nnU-Net raw dataset that `prepare` reads."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cldm_runtime.domains.phantom_rules import DrawnVolume
from cldm_runtime.domains.registry import DOMAINS, get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.scans.nnunet_raw import read_raw_dataset
from cldm_runtime.scans.phantom_cohort import choose_phantom, subset_sizes, write_phantom_cohort
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings
from cldm_runtime.store import open_dataset
from scan_fixtures import organ_domain

COUNTS = {"train": 2, "val": 1, "test": 1, "d8": 1}


@pytest.fixture(autouse=True)
def rings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A domain `rings` with the labels of the LGE domain, whose phantoms are drawn in no time."""
    lge = get_domain("lge")
    drawn = replace(lge, name="rings", phantoms={
        "thin": replace(lge.phantoms["lge-1"], draw=small_volume),
        "thick": replace(lge.phantoms["lge-1"], draw=thick_volume),
        "read": replace(lge.phantoms["lge-1"], draw=read_volume)})
    monkeypatch.setitem(DOMAINS, "rings", lambda: drawn)


def cohort(folder: Path, seed: int = 0, **changes: int) -> CohortSettings:
    return CohortSettings(str(folder), "rings", seed, {**COUNTS, **changes})


def small_volume(seed: int, patient: int, subset: str) -> DrawnVolume:
    """Three slices of a ring; the patient's number is the intensity of the background."""
    y, x = np.mgrid[:40, :40]
    radius = np.hypot(y - 20, x - 20)
    ring = np.where(radius < 5, 1, np.where(radius < 9, 2, 0)).astype(np.uint8)
    labels = np.stack([ring] * 3)
    image = (labels * 10.0 + patient).astype(np.float32)
    return DrawnVolume(image, labels, (8.0, 1.5, 1.5))


def thick_volume(seed: int, patient: int, subset: str) -> DrawnVolume:
    return replace(small_volume(seed, patient, subset), spacing_mm=(9.0, 1.5, 1.5))


def read_volume(seed: int, patient: int, subset: str) -> DrawnVolume:
    """A volume whose reader outlines an infarct that is not there."""
    volume = small_volume(seed, patient, subset)
    read = np.where((volume.labels == 2) & (np.arange(40) > 24), 3, volume.labels).astype(np.uint8)
    return replace(volume, labels=read, true_labels=volume.labels)


def test_layout_and_spacing(tmp_path):
    assert write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1) == (5, 5)
    names = sorted(file.name for file in (tmp_path / "raw" / "imagesTr").iterdir())
    assert names == [f"phantom_{case}_0000.nii.gz" for case in ("train_000", "train_001", "val_000")]
    image = nibabel.load(tmp_path / "raw" / "labelsTs" / "phantom_d8_000.nii.gz")
    assert image.shape == (40, 40, 3) and image.header.get_zooms() == (1.5, 1.5, 8.0)
    raw, faults = read_raw_dataset(tmp_path / "raw")
    assert faults == [] and [case.subset for case in raw.cases] == ["d8", "test", "train", "train", "val"]


def test_only_missing_volumes_are_made_again(tmp_path):
    write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1)
    (tmp_path / "raw" / "labelsTs" / "phantom_test_000.nii.gz").unlink()
    assert write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1) == (1, 5)


def test_another_seed_does_not_mix_with_what_is_there(tmp_path):
    write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1)
    with pytest.raises(InputError, match="of another recipe"):
        write_phantom_cohort(cohort(tmp_path, seed=1), tmp_path / "raw", workers=1)


def test_a_named_phantom_is_drawn(tmp_path):
    write_phantom_cohort(replace(cohort(tmp_path), phantom="thick"), tmp_path / "raw", workers=1)
    image = nibabel.load(tmp_path / "raw" / "labelsTs" / "phantom_d8_000.nii.gz")
    assert image.header.get_zooms() == (1.5, 1.5, 9.0)


def test_a_cohort_that_names_no_phantom_is_one_of_the_first(tmp_path):
    write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1)
    recipe = json.loads((tmp_path / "raw" / "phantom.json").read_text())
    assert recipe.pop("phantom") == "thin"
    (tmp_path / "raw" / "phantom.json").write_text(json.dumps(recipe))
    assert write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1) == (0, 5)
    with pytest.raises(InputError, match="of another recipe"):
        write_phantom_cohort(replace(cohort(tmp_path), phantom="thick"), tmp_path / "raw", workers=1)


def test_patients_are_numbered_from_the_first(tmp_path):
    settings = replace(cohort(tmp_path, train=0, val=0), first_patient=7)
    assert write_phantom_cohort(settings, tmp_path / "raw", workers=1) == (2, 2)
    image = nibabel.load(tmp_path / "raw" / "imagesTs" / "phantom_test_007_0000.nii.gz")
    assert image.get_fdata().min() == 7  # the phantom of patient 7
    with pytest.raises(InputError, match="of another recipe"):
        write_phantom_cohort(replace(settings, first_patient=8), tmp_path / "raw", workers=1)


def test_a_phantom_that_the_domain_does_not_draw_is_named():
    with pytest.raises(InputError, match=r"cohort\.phantom: domain rings draws no phantom 'old'\. It draws thin"):
        choose_phantom(get_domain("rings"), "old")


def test_a_subset_that_the_domain_does_not_draw_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cohort\.d9_patients: domain rings draws no subset 'd9'.*val, test, d8"):
        write_phantom_cohort(cohort(tmp_path, d9=1), tmp_path / "raw", workers=1)


def test_sizes_that_are_not_given_are_the_domains():
    assert subset_sizes(CohortSettings("x", patients={"val": 3}), get_domain("lge").phantoms["lge-1"]) == {
        "train": 172, "val": 3, "test": 21, "d8": 121}


def test_a_domain_without_phantoms_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(DOMAINS, "organ", lambda: organ_domain(2))
    with pytest.raises(InputError, match="domain 'organ' draws no phantoms"):
        write_phantom_cohort(CohortSettings(str(tmp_path), "organ"), tmp_path / "raw", workers=1)


def test_prepare_reads_what_the_domain_draws(tmp_path):
    settings = CohortSettings(str(tmp_path), "lge", patients={"train": 1, "val": 0, "test": 0, "d8": 1})
    write_phantom_cohort(settings, tmp_path / "raw", workers=1)
    counts = prepare(tmp_path / "raw", tmp_path / "cohort.h5", PrepareSettings(workers=1), "lge")
    assert set(counts) == {"train", "d8"} and all(count.samples > 3 for count in counts.values())
    with open_dataset(tmp_path / "cohort.h5") as made:
        assert made.nature == "phantom"


def test_the_truth_of_a_readers_labels_is_written_too(tmp_path):
    write_phantom_cohort(replace(cohort(tmp_path), phantom="read"), tmp_path / "raw", workers=1)
    truth, read = (np.asarray(nibabel.load(tmp_path / "raw" / kind / "phantom_train_000.nii.gz").dataobj)
                   for kind in ("truthTr", "labelsTr"))
    assert np.unique(truth).tolist() == [0, 1, 2] and np.unique(read).tolist() == [0, 1, 2, 3]
    write_phantom_cohort(cohort(tmp_path), tmp_path / "exact", workers=1)
    assert not (tmp_path / "exact" / "truthTr").exists()

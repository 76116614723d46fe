"""The phantom cohort is written as an nnU-Net raw dataset that `prepare` reads."""

from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from cldm_runtime.errors import InputError
from cldm_runtime.scans.nnunet_raw import read_raw_dataset
from cldm_runtime.scans.phantom_cohort import write_phantom_cohort
from cldm_runtime.scans.prepare import prepare
from cldm_runtime.scans.settings import CohortSettings, PrepareSettings

COUNTS = {"train_patients": 2, "val_patients": 1, "test_patients": 1, "d8_patients": 1}


def cohort(folder: Path, **changes: int) -> CohortSettings:
    return CohortSettings(folder=str(folder), **{**COUNTS, **changes})


def small_volume(seed: int, patient: int, subset: str) -> SimpleNamespace:
    """Three slices of a ring; the patient's number is the intensity of the background."""
    y, x = np.mgrid[:40, :40]
    radius = np.hypot(y - 20, x - 20)
    ring = np.where(radius < 5, 1, np.where(radius < 9, 2, 0)).astype(np.uint8)
    labels = np.stack([ring] * 3)
    image = (labels * 10.0 + patient).astype(np.float32)
    return SimpleNamespace(image=image, labels=labels, spacing_mm=(8.0, 1.5, 1.5))


def test_layout_and_spacing(tmp_path):
    assert write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1, make_volume=small_volume) == 5
    names = sorted(file.name for file in (tmp_path / "raw" / "imagesTr").iterdir())
    assert names == [f"phantom_{case}_0000.nii.gz" for case in ("train_000", "train_001", "val_000")]
    image = nibabel.load(tmp_path / "raw" / "labelsTs" / "phantom_d8_000.nii.gz")
    assert image.shape == (40, 40, 3) and image.header.get_zooms() == (1.5, 1.5, 8.0)
    raw, faults = read_raw_dataset(tmp_path / "raw")
    assert faults == [] and [case.subset for case in raw.cases] == ["d8", "test", "train", "train", "val"]


def test_only_missing_volumes_are_made_again(tmp_path):
    write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1, make_volume=small_volume)
    (tmp_path / "raw" / "labelsTs" / "phantom_test_000.nii.gz").unlink()
    assert write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1, make_volume=small_volume) == 1


def test_another_seed_does_not_mix_with_what_is_there(tmp_path):
    write_phantom_cohort(cohort(tmp_path), tmp_path / "raw", workers=1, make_volume=small_volume)
    with pytest.raises(InputError, match="of another recipe"):
        write_phantom_cohort(cohort(tmp_path, seed=1), tmp_path / "raw", workers=1, make_volume=small_volume)


def test_prepare_reads_what_the_domain_draws(tmp_path):
    config = cohort(tmp_path, train_patients=1, val_patients=0, test_patients=0, d8_patients=1)
    write_phantom_cohort(config, tmp_path / "raw", workers=1)
    counts = prepare(tmp_path / "raw", tmp_path / "cohort.h5", PrepareSettings(workers=1), "lge")
    assert set(counts) == {"train", "d8"} and all(count.slices > 3 for count in counts.values())

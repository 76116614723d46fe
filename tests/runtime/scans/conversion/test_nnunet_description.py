"""dataset.json and the files of subsets and patients, as nnU-Net and `cldm prepare` read them."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nibabel")

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.scans.conversion.convert import convert
from cldm_runtime.scans.nnunet_raw import read_raw_dataset
from cldm_runtime.store import DatasetSpec, create_dataset

SUBSETS, PATIENTS = ["train", "train", "val", "test"], ["P1", "P1", "P2", "P3"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    spec = DatasetSpec(get_domain("lge"), (6, 5), (1.5, 1.25), 2, metadata={"nature": "phantom"})
    with create_dataset(tmp_path / "a.h5", spec) as writer:
        writer.append(images=np.zeros((4, 2, 6, 5)), masks=np.ones((4, 6, 5), np.uint8), subset=SUBSETS,
                      patients=PATIENTS)
    convert(tmp_path / "a.h5", "nnunet", tmp_path / "raw")
    return tmp_path / "raw"


def test_nnunet_lists_the_cases_of_training(raw: Path) -> None:
    utilities = pytest.importorskip("nnunetv2.utilities.utils")
    described = json.loads((raw / "dataset.json").read_text())
    found = utilities.get_filenames_of_train_images_and_targets(str(raw), described)
    assert {name: [Path(file).name for file in entry["images"]] for name, entry in found.items()} == {
        f"sample0000{row}": [f"sample0000{row}_0000.nii.gz", f"sample0000{row}_0001.nii.gz"] for row in range(3)}
    assert all(Path(entry["label"]).is_file() for entry in found.values())
    assert described["numTraining"] == 3 and described["labels"] == {
        name: value for value, name in enumerate(get_domain("lge").labels.names)}


def test_prepare_knows_its_subsets_and_patients(raw: Path) -> None:
    dataset, faults = read_raw_dataset(raw)
    assert not faults and dataset.extra["nature"] == "phantom"
    assert [case.subset for case in dataset.cases] == SUBSETS and [case.patient for case in dataset.cases] == PATIENTS
    assert json.loads((raw / "splits_final.json").read_text()) == [
        {"train": ["sample00000", "sample00001"], "val": ["sample00002"]}]

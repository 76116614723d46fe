"""A stage knows the content of the cohort that it learned from."""

import h5py
import pytest

from cldm_runtime.errors import DatasetError, InputError
from cldm_trainer.config import Config
from cldm_trainer.stages.table import run_stage
from cldm_trainer.training.run_folder import RunFolder


def change(config: Config, where: str) -> None:
    """One value of the cohort."""
    with h5py.File(config.cohort_file, "r+") as file:
        file[where][(0,) * file[where].ndim] = 1


def test_a_stage_of_another_cohort_is_refused(small: Config) -> None:
    run_stage("image-codec", small)
    run_stage("image-codec", small)  # of the same: finished
    change(small, "images")
    with pytest.raises(InputError, match=r"(?s)another configuration or cohort.*cohort.sha256: was"):
        run_stage("image-codec", small)


def test_attributes_of_other_label_maps_are_refused(small: Config) -> None:
    with h5py.File(small.cohort_file, "r+") as file:
        file.attrs["mask_attributes_derived_from"] = '{"sources": {"masks": "0"}, "settings": {}}'
    with pytest.raises(DatasetError, match="`cldm measure"):
        run_stage("image-codec", small)


@pytest.mark.parametrize("where", ["images", "masks", "attributes/mask"])
def test_every_value_that_is_learned_from_counts(small: Config, where: str) -> None:
    before = RunFolder.of(small).cohort.sha256
    change(small, where)
    assert RunFolder.of(small).cohort.sha256 != before

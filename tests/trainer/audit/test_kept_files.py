"""A kept file is used again only if it was made by the same recipe and holds what was written."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from cldm_runtime.store import edit_dataset
from cldm_trainer.audit.kept_files import forget_made, is_as_made, record_made
from cohort_fixtures import write_drawn_cohort


@pytest.fixture(params=["a.h5", "a-latents.npy"])
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / str(request.param)
    if path.suffix == ".h5":
        write_drawn_cohort(path, {"test": 2})
    else:
        np.save(path, np.zeros(3))
    record_made(path, "recipe")
    return path


def test_the_same_recipe_and_content_are_used_again(kept: Path) -> None:
    assert is_as_made(kept, "recipe") and not is_as_made(kept, "another")


def test_a_changed_file_is_made_again(kept: Path) -> None:
    if kept.suffix == ".h5":
        with h5py.File(kept, "r+") as file:
            file["masks"][0, 0, 0] = 1
    else:
        np.save(kept, np.ones(3))
    assert not is_as_made(kept, "recipe")


def test_a_file_without_its_text_is_made_again(kept: Path) -> None:
    forget_made(kept)
    assert not is_as_made(kept, "recipe") and not is_as_made(kept.with_name("none.h5"), "recipe")


def test_a_segmentation_is_no_change(tmp_path: Path) -> None:
    write_drawn_cohort(path := tmp_path / "a.h5", {"test": 2})
    record_made(path, "recipe")
    with edit_dataset(path) as editor:
        editor.segmentation("mine").append(masks=np.zeros((2, 128, 128), np.uint8))
    assert is_as_made(path, "recipe")

"""What the small segmenters learn from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.config import Config
from cldm_trainer.config.validity import HiddenLesions, SegmenterRecipe
from cldm_trainer.results.validity.networks import FoldedNetwork, check_networks
from cldm_trainer.results.validity.training import (
    as_seen,
    chosen_patients,
    derivation,
    make_task,
    predict,
    trained,
)
from cldm_trainer.training.checkpoint import MODEL
from cldm_trainer.training.run_folder import RunFolder

TINY = SegmenterRecipe(channels=(4, 4), steps=2, batch_size=4)


def test_a_smaller_share_of_patients_is_part_of_a_larger_one() -> None:
    patients = np.repeat([f"P{i}" for i in range(20)], 3)
    few, half, every = (chosen_patients(patients, share, 0) for share in (0.01, 0.5, 1.0))
    assert (few.sum(), half.sum(), every.sum()) == (3, 30, 60)  # whole patients, one at least
    assert not (few & ~half).any()


def test_other_contrasts_by_hand() -> None:
    images = np.array([0.0, 0.5, 1.0], dtype=np.float32)
    assert as_seen(images, SegmenterRecipe(gamma=2.0)).tolist() == [0.0, 0.25, 1.0]
    assert as_seen(images, SegmenterRecipe(inverted=True)).tolist() == [1.0, 0.5, 0.0]


def test_hidden_lesions_are_missing_in_training_but_not_in_validation(small: Config) -> None:
    run = RunFolder.of(small)
    task = make_task(replace(TINY, hidden=HiddenLesions("infarct_size", 0.0, 1.1)), run)
    assert not (task.training[1] == 3).any() and (task.validation[1] == 3).any()
    assert (make_task(TINY, run).training[1] == 3).any()


@pytest.mark.parametrize(("network", "channels"), [("unet", (4, 8)), ("attention-unet", (4, 8)), ("segresnet", (8, 8))])
@pytest.mark.parametrize("patch", [1, 2])
def test_every_network_answers_on_the_grid_of_its_images(network: str, channels: tuple[int, ...], patch: int) -> None:
    recipe = SegmenterRecipe(network=network, channels=channels, patch=patch)
    check_networks({"one": recipe}, (16, 24))
    assert FoldedNetwork(recipe, 2, 1, 5)(torch.zeros(2, 1, 16, 24)).shape == (2, 5, 16, 24)


def test_faults_of_recipes_are_listed_together() -> None:
    recipes = {"a": SegmenterRecipe(network="vnet"), "b": SegmenterRecipe(share=0.0), "c": SegmenterRecipe(bundle="x")}
    with pytest.raises(InputError, match=r"(?s)a.network: found 'vnet'.*images of \(30, 30\).*b.share: found 0,"):
        check_networks(recipes, (30, 30))


def test_a_trained_segmenter_is_used_again_and_other_settings_train_another(small: Config, tmp_path: Path) -> None:
    run = RunFolder.of(small)
    first = trained("One!", TINY, run)
    (file,) = (tmp_path / "runs").rglob(MODEL)
    assert file.parent.name == f"one-{derivation(TINY, run).sha256[:12]}"
    written = file.stat().st_mtime_ns
    images = np.random.default_rng(0).random((3, 1, 32, 32), dtype=np.float32)
    again = trained("One!", replace(TINY, largest_piece=True), run)  # post-processing needs no other weights
    np.testing.assert_array_equal(predict(first, images), predict(again, images))
    assert file.stat().st_mtime_ns == written
    trained("One!", replace(TINY, share=0.5), run)
    assert len(list((tmp_path / "runs").rglob(MODEL))) == 2

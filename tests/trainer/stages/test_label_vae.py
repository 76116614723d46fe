"""The VAE of label maps, plain and attribute-regularised."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.config import Config, LabelVaeConfig
from cldm_trainer.networks import LabelVae
from cldm_trainer.stages import label_vae
from cldm_trainer.stages.label_scores import score_labels
from cldm_trainer.training.losses import attribute_order
from cldm_trainer.training.run_folder import RunFolder


def test_attribute_order_of_one_pair_by_hand() -> None:
    z, a = torch.tensor([[0.1], [0.0]]), torch.tensor([[5.0], [3.0]])
    right, wrong = (attribute_order(sign * z, a, torch.ones(2, 1), delta=20.0).item() for sign in (1.0, -1.0))
    assert right == pytest.approx(1.0 - np.tanh(2.0)) and wrong == pytest.approx(1.0 + np.tanh(2.0))


def test_each_attribute_has_its_own_dimension_and_its_own_pairs() -> None:
    z = torch.tensor([[1.0, -1.0, 9.0], [0.0, 0.0, 9.0], [-1.0, 1.0, 9.0]])
    a = torch.tensor([[3.0, 0.3], [2.0, 0.1], [1.0, 0.0]])  # z rises with the first and falls with the second
    every = torch.ones(3, 2)
    assert attribute_order(z, a, every, 20.0).item() == pytest.approx(0.0 + 2.0, abs=1e-4)
    assert attribute_order(z, torch.ones(3, 2), every, 20.0).item() == pytest.approx(2.0, abs=1e-4)  # ties want ties


def test_pairs_with_an_undefined_value_are_left_out() -> None:
    z, a = torch.tensor([[1.0], [0.0], [-5.0]]), torch.tensor([[2.0], [1.0], [9.0]])
    assert attribute_order(z, a, torch.tensor([[1.0], [1.0], [0.0]]), 20.0).item() == pytest.approx(0.0, abs=1e-4)
    assert attribute_order(z, a, torch.zeros(3, 1), 20.0).item() == 0.0


def test_the_papers_layers() -> None:
    with torch.device("meta"):
        vae = LabelVae(5, (128, 128), LabelVaeConfig())
        logits, z, mean, deviation = vae(torch.zeros(2, 5, 128, 128), torch.zeros(2, 8))
    assert logits.shape == (2, 5, 128, 128) and z.shape == mean.shape == deviation.shape == (2, 8)
    kernels = [layer.out_channels for layer in vae.encoder if isinstance(layer, torch.nn.Conv2d)]
    assert kernels == [32, 32, 64, 64, 128, 128]


def test_label_maps_that_cannot_be_halved_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be divided by 8"):
        LabelVae(5, (100, 100), LabelVaeConfig())


def test_a_patch_moves_the_layers_to_a_lower_resolution() -> None:
    config = LabelVaeConfig(patch=2, channels=(4, 8))
    logits, *_ = LabelVae(5, (32, 32), config)(torch.zeros(1, 5, 32, 32), torch.zeros(1, 8))
    assert logits.shape == (1, 5, 32, 32)
    with pytest.raises(ValueError, match="cannot be divided by 8"):
        LabelVae(5, (36, 36), config)


def test_an_ar_vae_trains_and_reports_its_dimensions(small: Config) -> None:
    config = replace(small, label_vae=replace(small.label_vae, attribute_weight=3.0))
    task = label_vae.make_task(*arguments("label-vae", config))
    figures = task.validate(task.model, torch.device("cpu"))
    assert {"wrong_pixels", "dice_background", "spearman_infarct_size", "r2_slice_position"} <= set(figures)
    assert 0.0 <= figures["r2_slice_position"] <= 1.0
    assert task.picture(task.model, torch.device("cpu")).shape == ((2 + 4) * 32, 8 * 32, 3)
    run_stage("label-vae", config)
    vae = label_vae.trained_label_vae(config.label_vae, config.latents, RunFolder.of(config))
    assert vae.encode(torch.zeros(1, 5, 32, 32))[0].shape == (1, 8)


def test_a_vae_without_regularisation_walks_every_dimension(small: Config) -> None:
    task, device = label_vae.make_task(*arguments("label-vae", small)), torch.device("cpu")
    assert task.values is None and not any("spearman" in name for name in task.validate(task.model, device))
    assert task.picture(task.model, device).shape[0] == (2 + 8) * 32


def test_each_attribute_needs_a_dimension(small: Config) -> None:
    section = replace(small.label_vae, attribute_weight=1.0, dimensions=3)
    with pytest.raises(InputError, match="found 3, expected at least 4"):
        label_vae.make_task(*arguments("label-vae", replace(small, label_vae=section)))


def test_label_scores_by_hand() -> None:
    masks = torch.tensor([[[0, 1], [1, 1]]], dtype=torch.uint8)
    dice, wrong = score_labels(lambda maps: torch.zeros_like(maps), masks, 3)
    assert dice == {0: pytest.approx(2 / 5), 1: 0.0} and wrong == 3.0

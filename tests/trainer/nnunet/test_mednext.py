"""MedNeXt, trained by nnU-Net's trainer and exported as nnU-Net's own networks are."""

import dataclasses
from pathlib import Path

import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_runtime.segmentation.segmenter import Segmenter
from cldm_trainer.cli import run_stage
from cldm_trainer.config import Config, SegmenterConfig
from cldm_trainer.export.segmenter import export_segmenter
from cldm_trainer.export.settings import BundleSettings
from cldm_trainer.nnunet.mednext import PlannedMedNeXt
from cldm_trainer.nnunet.plan import reduced_plan

TINY = SegmenterConfig(planned=False, network="mednext", features=(8, 16, 32), convolutions=1, batch_size=2, epochs=1,
                       iterations_per_epoch=2, validation_iterations_per_epoch=1)


@pytest.mark.parametrize("axes", [2, 3])
def test_scales_are_those_that_nnunet_weighs(axes: int) -> None:
    strides = [[1] * axes, [2] * axes, [2] * axes]
    network = PlannedMedNeXt(2, 5, features=(8, 16, 32), strides=strides, blocks=1, deep_supervision=True)
    image = torch.randn(1, 2, *(16,) * axes)
    for mode in (True, False):
        scales = network.train(mode)(image)
        assert [tuple(scale.shape) for scale in scales] == [(1, 5, *(16,) * axes), (1, 5, *(8,) * axes)]
    network.deep_supervision = False
    whole = network(image)
    assert torch.equal(whole, scales[0])


def test_a_patch_that_cannot_be_halved_is_refused() -> None:
    plan = {"plans_name": "p", "configurations": {"2d": {"patch_size": [30, 32], "architecture": {}}}}
    with pytest.raises(InputError, match=r"halves every axis 2 times, but nnU-Net's patch is \[30, 32\]"):
        reduced_plan(plan, TINY, "2d")


@pytest.mark.filterwarnings("ignore")  # nnU-Net's own
def test_is_trained_and_exported(small: Config, tmp_path: Path) -> None:
    """The predictor of the runtime says what nnU-Net's says: `export` compares them."""
    config = dataclasses.replace(small, segmenter=TINY)
    run_stage("segmenter", config)
    bundle = export_segmenter(BundleSettings.of(config), TINY, tmp_path / "bundle", torchscript=False)
    assert Segmenter.load(bundle).bundle.manifest.kind == "segmenter"

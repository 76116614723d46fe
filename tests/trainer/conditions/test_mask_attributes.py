"""Attributes of images as conditions, beside the label map and alone: trained, exported, requested."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import export
from cldm_trainer.adopt.bundle import adopt
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import Config
from cldm_trainer.stages import diffusion
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.moved import image_attributes, measured_attributes
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import SHORT, train_short

ASKED = 'image_attributes = ["lesion_contrast", "remote_nulling"]\n'


@pytest.mark.parametrize(("lines", "fault"), [
    ('condition = "mask-attributes"\n', "diffusion.image_attributes: empty, expected some"),
    ('condition = "mask-attributes"\nimage_attributes = ["blur"]\n', "found blur, expected some of: lesion_contrast"),
    (ASKED, "for the condition mask, expected none"),
    ('condition = "attributes"\nimage_attributes = ["noise_level"]\n[acquisition]\ndetection = "real"\n',
     "the last graph of [acquisition] applies")])
def test_contradictions_are_named(tmp_path: Path, lines: str, fault: str) -> None:
    (tmp_path / "base.toml").write_text(SHORT)
    (tmp_path / "short.toml").write_text(f'extends = "base.toml"\n[diffusion]\n{lines}')
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "short.toml")
    assert fault in str(error.value)


def test_attributes_of_images_follow_those_of_maps_and_stay_when_moved(small: Config) -> None:
    run, names = RunFolder.of(small), ("noise_level", "remote_nulling")
    values, defined = measured_attributes(replace(small.latents, copies=2), run, "train", names)
    images = image_attributes(run.cohort, "train", names)
    assert values.shape == defined.shape == (16, 6) and np.isfinite(images).any()
    for copy in (values[:8, 4:], values[8:, 4:]):
        np.testing.assert_array_equal(copy, np.nan_to_num(images))


def adopts_the_bundle(config: Config, folder: Path) -> None:
    """Another run has the denoiser of the bundle and what standardises its attributes; an unconditional one begins with
    it."""
    other = replace(config, run=replace(config.run, name="other"))
    adopt(Design.of(other), other.texture, RunFolder.of(other), Path(config.export.generator))
    made, model = (diffusion.trained_model(Design.of(each), RunFolder.of(each)) for each in (other, config))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in made.state_dict().items())
    section = replace(config.diffusion, condition="none", condition_dropout=0.0, start="other", image_attributes=())
    free = replace(other, run=replace(other.run, name="free", codecs="other"), diffusion=section)
    run_stage("latents", other)
    begun = diffusion.make_task(Design.of(free), RunFolder.of(free)).model
    first, width = "conv_in.conv.weight", len(made.denoiser.null)
    assert torch.equal(begun.unet.state_dict()[first], made.denoiser.unet.state_dict()[first][:, width:])


@pytest.mark.long
@pytest.mark.parametrize("condition", ["mask-attributes", "attributes"])
def test_contrast_can_be_requested_of_a_short_run(tmp_path: Path, condition: str) -> None:
    config = train_short(tmp_path, f'[diffusion]\ncondition = "{condition}"\ncondition_dropout = 0.1\n{ASKED}')
    export.run(config, what="generator")
    bundle = Bundle.load(config.export.generator)
    assert all(check.passed for check in verify_bundle(bundle))
    assert [spec.name for spec in bundle.manifest.attributes][4:] == ["lesion_contrast", "remote_nulling"]
    generator = Generator.load(config.export.generator)
    low, high = generator.canvas.imaging["lesion_contrast"]
    images = [generator.sample({"infarct_size": 0.2, "lesion_contrast": value})[0] for value in (low, high, low)]
    assert np.array_equal(images[0], images[2])
    told = condition == "attributes"  # two steps leave cross-attention without effect; planes have it from the start
    assert told or not np.array_equal(images[0], images[1])
    if condition == "mask-attributes":
        adopts_the_bundle(config, tmp_path)
    with pytest.raises(InputError, match=r"noise_level cannot be requested of this bundle.*lesion_contrast"):
        generator.sample({"infarct_size": 0.2, "noise_level": 0.05})

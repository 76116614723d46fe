"""Given images as a condition: what contradicts it, what its encoder gives, and which images a run must have."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import brain_run
from cldm_runtime.errors import InputError
from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.registry import KINDS
from cldm_trainer.config import Config
from cldm_trainer.networks import ControlImageEncoder
from cldm_trainer.stages.config_file import load_config


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Config, Config]:
    return brain_run.make_runs(tmp_path)


@pytest.mark.parametrize(("patch", "channels"), [(1, (4, 4, 8)), (2, (4, 8)), (4, (8,))])
def test_the_encoder_leads_to_the_latents_grid(patch: int, channels: tuple[int, ...]) -> None:
    encoder = ControlImageEncoder(4, patch, channels, 16, 3)
    torch.nn.init.normal_(encoder.embedding.conv_out.conv.weight)
    image = torch.rand(2, 4, 8, 12, 16)
    control = encoder(image)
    assert control.shape == (2, 16, 2, 3, 4) and encoder.shape == (16,)
    assert not torch.equal(control, encoder(image.flip(1)))  # every sequence counts


@pytest.mark.parametrize(("text", "message"), [
    ("[control]\npatch = 2", "control.channels: 1 levels halve to 1 / 2, the image codec to 1 / 4"),
    ('[control]\nbase = ""', "control.base: empty"),
    ("[control]\nimage_channels = 0", "found 0 image_channels and patch 4, expected 1 or more"),
    ('[run]\noutput = "image"', "found 'image' where run.output is 'image', expected labels"),
    ('[run]\noutput = "sound"', "run.output: found 'sound', expected one of image, labels"),
    ('[diffusion]\ncondition = "mask"', "found 'mask' where run.output is labels, expected one of none, attributes"),
    ('[export]\nint8 = "out/int8"', "export.int8: found 'out/int8' where run.output is labels")])
def test_contradictions_are_named(runs: tuple[Config, Config], tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(f'extends = "segments.toml"\n{text}\n')
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "bad.toml")
    assert message in str(error.value)


def test_other_images_than_the_configuration_says_are_refused(runs: tuple[Config, Config]) -> None:
    config = replace(runs[1], control=replace(runs[1].control, image_channels=3))
    trained = SimpleNamespace(images=lambda subset: torch.zeros(2, 4, *brain_run.SHAPE))
    with pytest.raises(InputError, match=r"control\.image_channels: found 3, but the cohort's images have 4 channels"):
        KINDS["image"].tables(Design.of(config), trained)

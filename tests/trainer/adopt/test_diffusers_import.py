"""Folders of diffusers' UNet2DModel, as SegGuidedDiff leaves them, compute what diffusers computes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.adopt.description import read_description
from cldm_trainer.adopt.diffusers_import import _diffusers
from cldm_trainer.adopt.networks import Imported
from cldm_trainer.adopt.networks_file import read_networks
from import_fixtures import HEAD, condition, filled, one_hot, write

pytest.importorskip("diffusers", reason="diffusers is not installed")
BARE = HEAD.replace("[schedule]\ntimesteps = 20\n", "")
FOLDER = '[diffusers]\nfolder = "pipeline"\n'
AS_PICTURE = condition(more='divide_by = 255\norder = "image first"')


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A pipeline's folder: image and label map as the two channels of the input."""
    unet = filled(_diffusers("UNet2DModel")(
        sample_size=32, in_channels=2, out_channels=1, layers_per_block=1, block_out_channels=(8, 16),
        norm_num_groups=4, down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D")))
    unet.save_pretrained(tmp_path / "pipeline" / "unet")
    _diffusers("DDIMScheduler")(num_train_timesteps=20).save_pretrained(tmp_path / "pipeline" / "scheduler")
    return tmp_path


def read(folder: Path, *parts: str) -> Imported:
    return read_networks(*read_description(write(folder, *parts, head=BARE)), folder)


@torch.no_grad()
def test_image_and_label_map_are_its_channels(folder: Path) -> None:
    imported = read(folder, FOLDER, AS_PICTURE)
    original = _diffusers("UNet2DModel").from_pretrained(folder / "pipeline" / "unet", local_files_only=True).eval()
    (maps, numbers), x, t = one_hot(), torch.randn(2, 1, 32, 32), torch.tensor([0.0, 19.0])
    expected = original(torch.cat([x, numbers / 255], 1), t).sample
    computed = imported.roles["denoiser"](x, t, imported.roles["mask_encoder"](maps))
    torch.testing.assert_close(computed, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(imported.roles["decoder"](x), (x / 2 + 0.5).clamp(0, 1))


def test_the_schedule_is_that_of_the_folder(folder: Path) -> None:
    imported = read(folder, FOLDER, AS_PICTURE)
    shares = _diffusers("DDIMScheduler").from_pretrained(folder / "pipeline" / "scheduler").alphas_cumprod
    np.testing.assert_allclose(imported.schedule.alphas_cumprod, shares.numpy(), rtol=1e-6)
    assert imported.schedule.prediction_type == "epsilon" and "never clip" in imported.notes[0]


@pytest.mark.parametrize(("key", "value", "message"), [
    ("_class_name", "UNet2DConditionModel", "_class_name is 'UNet2DConditionModel', expected 'UNet2DModel'"),
    ("num_class_embeds", 3, "num_class_embeds is 3, expected None"),
    ("in_channels", 3, "in_channels is 3, expected 2 for image.channels = 1"),
    ("sample_size", 64, r"sample_size is \[64, 64\], expected \[32, 32\]"),
    ("block_out_channels", [8, 32], "of another shape: .*, expected "),
    ("layers_per_block", 2, "missing: "),
    ("norm_num_groups", 5, "builds no UNet2DModel from it"),
])
def test_another_network_is_one_message(folder: Path, key: str, value: object, message: str) -> None:
    file = folder / "pipeline" / "unet" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    with pytest.raises(InputError, match=message):
        read(folder, FOLDER, AS_PICTURE)


def test_what_is_missing_is_one_message(folder: Path) -> None:
    with pytest.raises(InputError, match=r"in_channels is 2, expected 1 .* 0 channels of the condition"):
        read(folder, FOLDER)
    (folder / "pipeline" / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(InputError, match=r"schedule: missing, and the folder has no scheduler"):
        read(folder, FOLDER, AS_PICTURE)
    (folder / "pipeline" / "unet" / "config.json").unlink()
    with pytest.raises(InputError, match=r"config.json: not found. Expected a folder that diffusers"):
        read(folder, FOLDER, AS_PICTURE)

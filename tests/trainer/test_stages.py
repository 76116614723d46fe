"""Every stage of the generator on a tiny cohort: it trains, resumes, and says what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.checkpoint import MODEL
from cldm_trainer.cli import STAGES, stage_function
from cldm_trainer.config import Config
from cldm_trainer.data import load_slices
from cldm_trainer.networks import Codec
from cldm_trainer.stages import codec, diffusion, latents, texture
from cldm_trainer.stages.codec import ImageCodecTask
from cldm_trainer.stages.latents import Latents, statistics
from cldm_trainer.stages.texture import colouring_kernel, local_energy


def test_every_stage_runs_in_order_and_leaves_its_weights(small: Config) -> None:
    for stage in ("image-codec", "mask-codec", "texture", "diffusion"):
        stage_function(stage)(small)
        assert (small.run_folder / stage / MODEL).exists()
    stored = latents.load_latents(small.run_folder / latents.STAGE, "train")
    assert stored.mean.shape == (16, 2, 8, 8) and stored.mask.shape == (16, 3, 8, 8)  # 8 slices, 2 copies
    task = diffusion.make_task(small)
    drawn = task.sample(diffusion.trained_denoiser(small), (torch.zeros(1, 3, 8, 8),), 1, 0, torch.device("cpu"))
    assert drawn.shape == (1, 2, 8, 8) and torch.isfinite(drawn).all()
    assert texture.trained_texture(small).kernel.square().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_stage_names_the_one_that_it_needs(small: Config) -> None:
    with pytest.raises(InputError, match="cldm-train image-codec"):
        diffusion.run(small)


def test_latents_follow_a_codec_that_was_trained_on(small: Config) -> None:
    codec.run_image_codec(small)
    codec.run_mask_codec(small)
    latents.run(small)
    before = latents.load_latents(small.run_folder / latents.STAGE, "val").mean
    section = small.image_codec
    longer = replace(small, image_codec=replace(section, optimiser=replace(section.optimiser, steps=8)))
    codec.run_image_codec(longer)
    latents.run(longer)
    assert not torch.equal(before, latents.load_latents(small.run_folder / latents.STAGE, "val").mean)


def test_standardised_latents_have_unit_variance() -> None:
    generator = torch.Generator().manual_seed(0)
    mean = 3.0 + 2.0 * torch.randn((64, 1, 8, 8), generator=generator)
    found = statistics(Latents(mean.half(), torch.full_like(mean, 1.5).half(), mean.half()))
    assert found["image_mean"].item() == pytest.approx(3.0, abs=0.1)
    assert found["image_std"].item() == pytest.approx(2.5, abs=0.1)  # sqrt(2^2 + 1.5^2)
    assert found["mask_std"].item() == pytest.approx(2.0, abs=0.1)


def test_an_adversarial_codec_trains_its_critic(small: Config) -> None:
    section = replace(small.image_codec, adversarial_weight=0.01)
    task = ImageCodecTask(section, load_slices(small.cohort_file, "train"), load_slices(small.cohort_file, "val"))
    step = codec.Step(0, np.arange(4), torch.Generator().manual_seed(0), torch.device("cpu"))
    assert task.critic is not None
    loss, parts = task.loss(task.model, task.critic, step)
    critic_loss = task.critic_loss(task.critic, step)
    assert "adversarial" in parts and critic_loss is not None and torch.isfinite(loss + critic_loss)


def test_local_energy_of_a_constant() -> None:
    assert torch.allclose(local_energy(torch.full((1, 1, 8, 8), 3.0), 5), torch.tensor(9.0))


def test_the_kernel_of_white_noise_is_a_point() -> None:
    noise = torch.randn((256, 1, 16, 16), generator=torch.Generator().manual_seed(0))
    kernel = colouring_kernel(noise, torch.ones_like(noise), 5)[0, 0]
    assert kernel[2, 2].item() == pytest.approx(1.0, abs=0.02)


def test_the_kernel_allows_for_the_deviation_map() -> None:
    noise = torch.randn((256, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    deviation = 1.0 + 0.5 * torch.sin(torch.arange(32) * torch.pi / 8).expand(256, 1, 32, 32)
    kernel = colouring_kernel(deviation * noise, deviation, 5)[0, 0]
    assert kernel[2, 2].item() == pytest.approx(1.0, abs=0.02)


def test_the_kernel_colours_as_the_residual_is_coloured() -> None:
    noise = torch.randn((256, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    smooth = (noise + noise.roll(1, -1)) / 2**0.5  # neighbours in a row correlate by 1/2
    kernel = colouring_kernel(smooth, torch.ones_like(smooth), 7)
    drawn = torch.nn.functional.conv2d(noise, kernel)
    assert (drawn[..., 1:] * drawn[..., :-1]).mean().item() == pytest.approx(0.5, abs=0.05)
    assert (drawn[..., 1:, :] * drawn[..., :-1, :]).mean().item() == pytest.approx(0.0, abs=0.05)


def test_mask_codecs_see_one_channel_for_each_label(small: Config) -> None:
    codec.run_mask_codec(small)
    assert isinstance(latents.trained_codec(small, codec.MASK_STAGE), Codec)
    assert latents.trained_codec(small, codec.MASK_STAGE).image_channels == 5


def test_subcommands_are_the_stages() -> None:
    assert list(STAGES)[:4] == ["phantom", "prepare", "image-codec", "mask-codec"]

"""Every stage of the generator on a tiny cohort: it trains, resumes, and says what is missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.cli import STAGES, arguments, run_stage
from cldm_trainer.config import Config
from cldm_trainer.networks import Affine, Codec, Texture
from cldm_trainer.stages import codec, diffusion, latents, texture
from cldm_trainer.stages.codec import ImageCodecTask
from cldm_trainer.stages.latents import Latents, statistics
from cldm_trainer.stages.texture import TextureTask, coarse_energy
from cldm_trainer.training.batches import Slices, load_slices
from cldm_trainer.training.checkpoint import MODEL
from cldm_trainer.training.loop import train
from cldm_trainer.training.run_folder import RunFolder


def test_every_stage_runs_in_order_and_leaves_its_weights(small: Config) -> None:
    for stage in ("image-codec", "mask-codec", "texture", "diffusion"):
        run_stage(stage, small)
        assert (small.run_folder / stage / MODEL).exists()
    stored = latents.load_latents(small.codecs, RunFolder.of(small), "train")
    assert stored.mean.shape == (16, 2, 8, 8) and stored.mask.shape == (16, 3, 8, 8)  # 8 slices, 2 copies
    parts = arguments("diffusion", small)
    task = diffusion.make_task(*parts)
    drawn = task.sample(diffusion.trained_denoiser(*parts), (torch.zeros(1, 3, 8, 8),), 1, 0, torch.device("cpu"))
    assert drawn.shape == (1, 2, 8, 8) and torch.isfinite(drawn).all()
    assert isinstance(texture.trained_texture(small.texture, small.codecs, RunFolder.of(small)), Texture)


def test_a_stage_names_the_one_that_it_needs(small: Config) -> None:
    with pytest.raises(InputError, match="cldm-train image-codec"):
        run_stage("diffusion", small)


def test_latents_follow_a_codec_that_was_trained_on(small: Config) -> None:
    run_stage("image-codec", small)
    run_stage("mask-codec", small)
    run_stage("latents", small)
    before = latents.load_latents(small.codecs, RunFolder.of(small), "val").mean
    section = small.image_codec
    longer = replace(small, image_codec=replace(section, optimiser=replace(section.optimiser, steps=8)))
    run_stage("image-codec", longer)
    run_stage("latents", longer)
    assert not torch.equal(before, latents.load_latents(longer.codecs, RunFolder.of(longer), "val").mean)


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


def test_fine_texture_has_little_coarse_energy() -> None:
    rows = torch.arange(32) % 2 * 2.0 - 1.0
    checks = (rows[:, None] * rows).expand(1, 1, 32, 32)
    assert coarse_energy(checks).item() < 0.01
    assert coarse_energy(torch.full((1, 1, 32, 32), 3.0)).item() == pytest.approx(9.0)


@pytest.mark.long
def test_the_texture_learns_the_grain_that_the_codec_left_out(small: Config) -> None:
    generator = torch.Generator().manual_seed(0)
    z = torch.randn((64, 2, 8, 8), generator=generator)
    smooth = 0.5 + 0.1 * torch.nn.functional.interpolate(z[:, :1], scale_factor=4, mode="bicubic")
    slices = Slices(smooth + 0.03 * torch.randn((64, 1, 32, 32), generator=generator), torch.zeros(64, 32, 32))
    encoded = Latents(z.half(), torch.zeros_like(z).half(), z.half())
    optimiser = replace(small.texture.optimiser, steps=300, batch_size=16, learning_rate=3e-3, momentum=0.0,
                        second_momentum=0.98, gradient_clip=10.0, warmup_steps=10, ema_decay=0.95)
    section = replace(small.texture, channels=8, critic_channels=8, optimiser=optimiser)
    torch.manual_seed(0)
    task = TextureTask(section, _Smooth(), Affine(torch.zeros(2), torch.ones(2)), (slices, encoded), (slices, encoded),
                       (1.0, 1.0))
    train(lambda: task, optimiser, small.run, small.run_folder / "grain", {})
    with torch.no_grad():
        found = task.validate(task.model, torch.device("cpu"))
    assert found["high_frequency_plain"] < 0.1
    assert found["high_frequency_textured"] == pytest.approx(1.0, abs=0.5)


class _Smooth(Codec):
    """Decodes to the smooth part of the images of the test above."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.latent_channels, self.stride = 2, 4

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        return 0.2 * torch.nn.functional.interpolate(z[:, :1], scale_factor=4, mode="bicubic")


def test_mask_codecs_see_one_channel_for_each_label(small: Config) -> None:
    run_stage("mask-codec", small)
    assert isinstance(codec.trained_mask_codec(small.mask_codec, RunFolder.of(small)), Codec)
    assert codec.trained_mask_codec(small.mask_codec, RunFolder.of(small)).image_channels == 5


def test_subcommands_are_the_stages() -> None:
    assert list(STAGES)[:4] == ["phantom", "prepare", "image-codec", "mask-codec"]

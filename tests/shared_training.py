"""Stages that test_ddp.py trains in one process and in two. As a script: one of the two, in the current folder."""

import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from cldm_runtime.diffusion.schedule import NoiseSchedule
from cldm_runtime.domains.registry import get_domain
from cldm_trainer import cli
from cldm_trainer.config import Config, DiffusionConfig, DistilConfig, OptimiserConfig
from cldm_trainer.networks import ConditionInput, Denoiser
from cldm_trainer.stages import diffusion, finish, label_vae, texture
from cldm_trainer.stages.codec import ImageCodecTask, MaskCodecTask
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.trajectories import Trajectories
from cldm_trainer.training import loop
from cldm_trainer.training.batches import load_slices

OPTIMISER = OptimiserConfig(steps=4, batch_size=4, learning_rate=1e-3, warmup_steps=1, log_every=1)
TOLD = ConditionInput("mask", "channels", (1,))
CONFIG, ODD = "small.toml", "odd.toml"


def finish_task() -> finish.FinishTask:
    """On made-up trajectories: a student's own steps without gradients, and a critic of what it gives."""
    generator = torch.Generator().manual_seed(0)
    section = DistilConfig(OPTIMISER, steps=2, states=2, critic_weight=1.0, critic_channels=8)
    student = Denoiser(1, TOLD, DiffusionConfig(OPTIMISER, channels=(8, 8), norm_groups=4, head_channels=8))
    kept = Trajectories(torch.randn((8, 3, 1, 4, 4), generator=generator), torch.zeros(8, 1, 4, 4))
    slices = torch.randn((8, 1, 4, 4), generator=generator)
    return finish.FinishTask(section, student, NoiseSchedule.cosine(10, prediction_type="v"), kept, kept, slices)


def tasks(config: Config) -> dict[str, Callable[[], loop.Task]]:
    """One of every kind, on the codecs and the unconditional denoiser of `config`'s runs."""
    slices = [load_slices(config.cohort_file, subset) for subset in ("train", "val")]
    told = replace(config, diffusion=replace(config.diffusion, condition_dropout=0.2))
    control = replace(config, diffusion=replace(config.diffusion, condition="control"),
                      control=replace(config.control, base="base"))
    ordered = replace(config, label_vae=replace(config.label_vae, attribute_weight=1.0))
    return {
        "image-codec": lambda: ImageCodecTask(config.image_codec, *slices),
        "mask-codec": lambda: MaskCodecTask(config.mask_codec, get_domain("lge"), *slices),
        # a critic, with a gradient of its gradient
        "texture": partial(texture.make_task, *cli.arguments("texture", config)),
        "label-vae": partial(label_vae.make_task, *cli.arguments("label-vae", ordered)),
        "diffusion": partial(diffusion.make_task, *cli.arguments("diffusion", told)),
        "control": partial(diffusion.make_task, *cli.arguments("diffusion", control)),  # a frozen U-Net inside
        "finish": finish_task,
    }


def train_all(config: Config, folder: Path) -> None:
    for name, task in tasks(config).items():
        loop.train(task, OPTIMISER, config.run, folder / name, {})


class Watched(loop._Trainer):
    """Leaves what its own process holds."""

    def save(self) -> None:
        held = {"model": self.module.state_dict(), "average": self.average.module.state_dict()}
        if self.critic_module is not None:
            held["critic"] = self.critic_module.state_dict()
        torch.save(held, self.folder.with_suffix(f".{self.fabric.global_rank}"))
        super().save()


if __name__ == "__main__":
    loop._Trainer = Watched  # type: ignore[misc]
    small = load_config(CONFIG)
    train_all(replace(small, run=replace(small.run, devices=2)), Path("two"))
    sys.argv = ["cldm-train", "image-codec", "--config", ODD, "--devices", "2"]
    cli.main()

"""Every preset of slices for a GPU takes a training step of its own stages at its own sizes: here in small batches on
the CPU."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cldm_runtime.domains.registry import get_domain
from cldm_trainer.conditions.kind import Design, Table
from cldm_trainer.conditions.models import make_model
from cldm_trainer.conditions.registry import KINDS
from cldm_trainer.config import Config, OptimiserConfig
from cldm_trainer.networks import Affine, Conditioned, ConditionInput, Denoiser
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.diffusion import DiffusionTask
from cldm_trainer.stages.label_vae import LabelVaeTask
from cldm_trainer.stages.latents import Latents
from cldm_trainer.training.batches import one_hot
from cldm_trainer.training.loop import Task, _Trainer

CONFIGS = Path(__file__).parents[2] / "trainer" / "configs"
PRESETS = {path.stem: config for path in sorted(CONFIGS.glob("*.toml"))
           if (config := load_config(path)).run.accelerator == "cuda" and len(config.prepare.shape) == 2}
OF_LATENTS = [name for name, config in PRESETS.items() if not config.image_codec.is_identity]
SAMPLES = 4
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def label_maps() -> torch.Tensor:
    """(SAMPLES, 128, 128): rings of wall, each with a wider infarct than the one before."""
    rows, columns = np.mgrid[:128, :128] - 63.5
    radius, angle = np.hypot(rows, columns), np.arctan2(rows, columns)
    wall = np.where(radius < 20, 1, np.where(radius < 30, 2, 0))
    maps = [np.where((wall == 2) & (angle < -2.0 + 0.5 * i), 3, wall) for i in range(SAMPLES)]
    return torch.from_numpy(np.stack(maps).astype(np.uint8))


def measured() -> tuple[torch.Tensor, torch.Tensor]:
    values = torch.from_numpy(get_domain("lge").measure(label_maps().numpy()).values)
    return torch.nan_to_num(values), torch.isfinite(values).float()


def table(config: Config) -> Table:
    """The condition of each sample, as `Condition.tables` gives it."""
    if config.diffusion.condition == "control":
        return Table((label_maps(),), lambda labels: one_hot(labels, 5))
    if config.mask_codec.is_identity:
        return Table((label_maps()[:, ::4, ::4],), lambda labels: one_hot(labels, 5))
    numbers = torch.randn(SAMPLES, config.label_vae.dimensions)
    columns = {"none": (), "mask": (torch.randn(SAMPLES, config.mask_codec.latent_channels, 32, 32),),
               "attributes": measured(), "label-vae": (numbers, torch.ones_like(numbers))}
    return Table(columns[config.diffusion.condition], torch.Tensor.float)


def diffusion_task(config: Config) -> DiffusionTask:
    """The task on made-up latents of 32 x 32."""
    channels, told, model = config.image_codec.latent_channels, table(config), make_model(Design.of(config))
    z = torch.randn(SAMPLES, channels, 32, 32)
    latents = {subset: Latents(z, 0.1 * torch.ones_like(z), z) for subset in ("train", "val")}
    if isinstance(model, Conditioned):
        KINDS[config.diffusion.condition].fit(model.encoder, told)
        if model.denoiser.controlnet is not None:
            model.denoiser.control(unconditional(config))
    affine = Affine(torch.zeros(channels), torch.ones(channels))
    return DiffusionTask(config.diffusion, model, latents, {"train": told, "val": told}, affine, nn.Identity())


def unconditional(config: Config) -> Denoiser:
    """A base that predicts something: untrained its last layer is zero, and so would be every gradient."""
    base = Denoiser(config.image_codec.latent_channels, ConditionInput(), replace(config.diffusion, condition="none"))
    for parameter in base.parameters():
        nn.init.normal_(parameter, std=0.05)
    return base


def label_vae_task(config: Config) -> LabelVaeTask:
    values = (measured(), measured()) if config.label_vae.attribute_weight > 0 else None
    return LabelVaeTask(config.label_vae, get_domain("lge"), (label_maps(), label_maps()), values)


def step(task: Task, optimiser: OptimiserConfig, config: Config, folder: Path, count: int = 1) -> None:
    """Steps, whose loss and weights are finite, and whose last gradient is not zero."""
    trainer = _Trainer(task, optimiser, config.run, folder)
    for _ in range(count):
        figures = trainer.advance()
    assert all(torch.isfinite(value) for value in figures.values()) and figures["gradient_norm"] > 0
    assert all(torch.isfinite(parameter).all() for parameter in trainer.module.parameters())


def on_the_cpu(config: Config) -> Config:
    return replace(config, run=replace(config.run, accelerator="cpu", precision="32-true", threads=1))


@pytest.mark.parametrize("preset", OF_LATENTS)
def test_the_denoiser_takes_a_step(preset: str, tmp_path: Path) -> None:
    config = on_the_cpu(PRESETS[preset])
    step(diffusion_task(config), replace(config.diffusion.optimiser, batch_size=2), config, tmp_path)


@pytest.mark.long
def test_the_denoiser_of_pixels_has_the_papers_size_and_takes_two_steps(tmp_path: Path) -> None:
    """On two images of 32 x 32 pixels: at 256 x 256 a step of one takes twelve seconds and 2.4 GB."""
    config = on_the_cpu(PRESETS["segguided-paper"])
    task = diffusion_task(config)
    assert sum(weights.numel() for weights in task.model.parameters()) == pytest.approx(113.7e6, rel=0.01)
    step(task, replace(config.diffusion.optimiser, batch_size=2), config, tmp_path, count=2)


@pytest.mark.parametrize("preset", [name for name, config in PRESETS.items()
                                    if config.diffusion.condition == "label-vae"])
def test_the_label_vae_takes_a_step(preset: str, tmp_path: Path) -> None:
    config = on_the_cpu(PRESETS[preset])
    step(label_vae_task(config), replace(config.label_vae.optimiser, batch_size=2), config, tmp_path)


@needs_cuda
@pytest.mark.parametrize("preset", PRESETS)
def test_all_stages_take_a_step_on_the_gpu_as_they_are(preset: str, tmp_path: Path) -> None:
    config = PRESETS[preset]
    step(diffusion_task(config), config.diffusion.optimiser, config, tmp_path)
    if config.diffusion.condition == "label-vae":
        step(label_vae_task(config), config.label_vae.optimiser, config, tmp_path)


def test_the_strategies_of_the_paper_share_the_codecs_and_the_sizes() -> None:
    base, others = PRESETS["phantom-paper"], [PRESETS[name] for name in OF_LATENTS if name != "phantom-paper"]
    assert {config.diffusion.condition for config in others} == {"none", "attributes", "label-vae", "control"}
    for config in others:
        assert config.codecs_folder == base.run_folder and config.diffusion.channels == base.diffusion.channels
        assert config.diffusion.optimiser == base.diffusion.optimiser
    exported = [config.export.generator for config in PRESETS.values() if config.diffusion.condition != "none"]
    assert len(set(exported)) == len(exported)
    assert PRESETS["phantom-paper-controlnet"].control.base in PRESETS

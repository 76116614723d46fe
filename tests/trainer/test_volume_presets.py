"""Presets that draw label maps of volumes: their networks fit the volumes of the configuration, and those of the paper
take two steps, on volumes of 24 (codec) and 32 (denoisers) voxels a side: the whole ones need a GPU."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from cldm_runtime.domains.label_channels import LabelChannels
from cldm_trainer.conditions.kind import Table
from cldm_trainer.config import Config
from cldm_trainer.networks import Affine, Codec, Conditioned, ConditionInput, ControlImageEncoder, Denoiser
from cldm_trainer.stages.codec import ImageCodecTask
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.diffusion import DiffusionTask
from cldm_trainer.stages.latents import Latents
from cldm_trainer.training.batches import Slices
from cldm_trainer.training.loop import Task, _Trainer

CONFIGS = Path(__file__).parents[2] / "trainer" / "configs"
PRESETS = {path.stem: config for path in sorted(CONFIGS.glob("*.toml"))
           if len((config := load_config(path)).prepare.shape) == 3 and config.export.generator}
SIDE, LATENT = 24, 8  # the denoisers halve latents twice
BRATS = LabelChannels("regions", ("et", "tc", "wt"), ((3,), (1, 3), (1, 2, 3)))


def image_encoder(config: Config) -> ControlImageEncoder:
    control = config.control
    return ControlImageEncoder(control.image_channels, control.patch, control.channels, config.diffusion.channels[0], 3)


def denoiser(config: Config) -> Denoiser | Conditioned:
    """With something to predict: untrained its last layer is zero, and so would be every gradient."""
    taken = ConditionInput()
    if config.diffusion.condition == "image":
        taken = ConditionInput("image", "control", (config.diffusion.channels[0],))
    if config.diffusion.condition == "mask":
        taken = ConditionInput("mask", "channels", (config.mask_codec.latent_channels,))
    model = Denoiser(config.image_codec.latent_channels, taken, config.diffusion, 3)
    for parameter in model.unet.parameters():
        if not parameter.is_meta:
            nn.init.normal_(parameter, std=0.05)
    return Conditioned(model, image_encoder(config)) if taken.way == "control" else model


def test_every_volume_preset_is_here() -> None:
    assert set(PRESETS) == {"brain-labels-cpu", "ldm-seg-cpu", "brain-images-cpu", "brain-paper-labels",
                            "ldm-seg-paper"}
    for name in ("ldm-seg-cpu", "ldm-seg-paper"):
        base = PRESETS[PRESETS[name].control.base]
        assert PRESETS[name].run.codecs == base.run.name and PRESETS[name].image_codec == base.image_codec


@pytest.mark.parametrize("preset", PRESETS)
def test_the_networks_fit_the_volume(preset: str) -> None:
    config = PRESETS[preset]
    shape, latent = config.prepare.shape, tuple(size // 4 for size in config.prepare.shape)
    with torch.device("meta"):
        drawn = 3 if config.run.output == "labels" else 4
        codec, model = Codec(drawn, config.image_codec, 3).eval(), denoiser(config)
        mean = codec.encode(torch.zeros(1, drawn, *shape))[0]
        assert mean.shape == (1, config.image_codec.latent_channels, *latent)
        assert codec.decode(mean).shape == (1, drawn, *shape)
        given = {"none": (), "image": (torch.zeros(1, 4, *shape),),
                 "mask": (torch.zeros(1, config.mask_codec.latent_channels, *latent),)}
        assert model(mean, torch.zeros(1), *given[config.diffusion.condition]).shape == mean.shape


def two_steps(task: Task, config: Config, optimiser: object, folder: Path) -> None:
    on_cpu = replace(config.run, accelerator="cpu", precision="32-true", threads=1)
    trainer = _Trainer(task, replace(optimiser, batch_size=2), on_cpu, folder)  # type: ignore[type-var]
    for _ in range(2):
        figures = trainer.advance()
        assert all(torch.isfinite(value) for value in figures.values()) and figures["gradient_norm"] > 0


def test_the_codec_of_the_paper_takes_two_steps(tmp_path: Path) -> None:
    """With its critic, and its activations computed again in the backward pass."""
    config = PRESETS["brain-paper-labels"]
    section = replace(config.image_codec, adversarial_start=0)
    maps = torch.randint(0, 4, (2, SIDE, SIDE, SIDE)).to(torch.uint8)
    slices = Slices(torch.from_numpy(BRATS.encode(maps.numpy())), maps)
    assert section.recompute and section.adversarial_weight > 0
    two_steps(ImageCodecTask(section, slices, slices, BRATS), config, section.optimiser, tmp_path)


@pytest.mark.parametrize("preset", ["brain-paper-labels", "ldm-seg-paper"])
def test_the_denoisers_of_the_paper_take_two_steps(preset: str, tmp_path: Path) -> None:
    config = PRESETS[preset]
    z = torch.randn(2, 4, *(LATENT,) * 3)
    latents = {subset: Latents(z, 0.1 * torch.ones_like(z), z[:, :0]) for subset in ("train", "val")}
    columns = (torch.rand(2, 4, *(4 * LATENT,) * 3).half(),) if config.diffusion.condition == "image" else ()
    table = Table(columns, torch.Tensor.float)
    model, affine = denoiser(config), Affine(torch.zeros(4), torch.ones(4), 3)
    if isinstance(model, Conditioned):
        model.denoiser.unet.requires_grad_(False)
        frozen = {name: value.clone() for name, value in model.denoiser.unet.state_dict().items()}
    task = DiffusionTask(config.diffusion, model, latents, {"train": table, "val": table}, affine, nn.Identity())
    two_steps(task, config, config.diffusion.optimiser, tmp_path)
    if isinstance(model, Conditioned):
        assert all(torch.equal(frozen[name], value) for name, value in model.denoiser.unet.state_dict().items())


def test_recomputed_blocks_give_the_same_gradients() -> None:
    section = replace(PRESETS["brain-labels-cpu"].image_codec, channels=(8, 8), patch=2, latent_channels=4,
                      components=False)
    torch.manual_seed(0)
    plain, again = Codec(3, section, 3), Codec(3, replace(section, recompute=True), 3)
    again.load_state_dict(plain.state_dict())
    x, noise = torch.rand(2, 3, 8, 8, 8), torch.zeros(2, 4, 2, 2, 2)
    calls = []
    for codec in (plain, again):
        counted: list[nn.Module] = []
        for module in codec.modules():
            if isinstance(module, nn.Conv3d):
                module.register_forward_hook(lambda module, *_, counted=counted: counted.append(module))
        codec(x, noise)[0].square().mean().backward()
        calls.append(len(counted))
    assert calls[1] > calls[0]  # those whose outputs the backward pass needs
    gradients = [{name: value.grad for name, value in codec.named_parameters() if value.grad is not None}
                 for codec in (plain, again)]
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 20
    assert all(torch.equal(gradient, gradients[1][name]) for name, gradient in gradients[0].items())
    assert max(gradient.abs().max() for gradient in gradients[0].values()) > 0

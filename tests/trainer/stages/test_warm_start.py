"""`diffusion.start`: a denoiser that begins with another's weights, and what it may not begin with."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.models import condition_input
from cldm_trainer.conditions.registry import KINDS
from cldm_trainer.config import Config, DiffusionConfig, OptimiserConfig, RunConfig
from cldm_trainer.networks import Conditioned, Denoiser
from cldm_trainer.stages import bases, diffusion
from cldm_trainer.stages.lineage import inheritance
from cldm_trainer.training import checkpoint
from cldm_trainer.training.run_folder import Cohort, RunFolder

SECTION = DiffusionConfig(OptimiserConfig(4, 4, 1e-3), channels=(8, 8), norm_groups=4, head_channels=8, context_width=4)
SHAPES = {"none": (), "mask": (3,), "mask-attributes": (7,), "attributes": (4, 4), "label-vae": (8, 4), "control": (8,)}
T = torch.tensor([1.0, 7.0])


def make(condition: str, seed: int, **keys: object) -> Denoiser:
    """A denoiser of 2 latent channels with every weight moved: as MONAI makes it the last layer is zero."""
    generator = torch.Generator().manual_seed(seed)
    told = KINDS[condition].condition_input(SHAPES[condition])
    denoiser = Denoiser(2, told, replace(SECTION, condition=condition, **keys)).eval()
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return denoiser.requires_grad_(False)


def test_a_mask_trunk_begins_without_masks_as_it_predicts_with_its_null() -> None:
    trunk, own, x = make("mask", 0, condition_dropout=0.1), make("none", 1), torch.randn(2, 2, 8, 8)
    own.begin_with(trunk)
    told = torch.cat([trunk.null.reshape(1, 3, 1, 1).expand(2, 3, 8, 8), x], dim=1)
    first, expected = own.unet.conv_in(x), trunk.unet.conv_in(told)
    assert torch.allclose(first[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1], atol=1e-5)
    assert not torch.allclose(first, expected, atol=1e-3)  # its zeros beyond the border are no null
    trunk.null.zero_()
    own.begin_with(trunk)
    assert torch.allclose(own(x, T), trunk(x, T, torch.zeros(2, 3, 8, 8)), atol=1e-5)


def test_a_small_null_hardly_changes_what_is_predicted() -> None:
    trunk, own, blind = make("mask", 0, condition_dropout=0.1), make("none", 1), make("none", 1)
    trunk.null.mul_(0.1)
    own.begin_with(trunk)
    with_null, null = trunk.null.clone(), trunk.null.zero_()
    blind.begin_with(trunk)
    null.copy_(with_null)
    x = torch.randn(2, 2, 32, 32, generator=torch.Generator().manual_seed(2))
    expected = trunk(x, T, null.reshape(1, 3, 1, 1).expand(2, 3, 32, 32))
    near, far = ((said - expected)[..., 8:-8, 8:-8].abs().mean() for said in (own(x, T), blind(x, T)))
    assert near < 0.3 * far


def test_a_trunk_without_condition_begins_a_mask_model_that_ignores_its_masks_at_first() -> None:
    trunk, own, x = make("none", 0), make("mask", 1), torch.randn(2, 2, 8, 8)
    own.begin_with(trunk)
    assert torch.allclose(own(x, T, torch.randn(2, 3, 8, 8)), trunk(x, T), atol=1e-5)


def test_a_mask_trunk_begins_a_model_of_masks_and_attributes_that_ignores_its_attributes_at_first() -> None:
    trunk, own = make("mask", 0, condition_dropout=0.1), make("mask-attributes", 1, condition_dropout=0.1)
    x = torch.randn(2, 2, 8, 8)
    own.null.zero_()
    own.begin_with(trunk)
    masks, planes = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 8, 8)
    assert torch.allclose(own(x, T, torch.cat([masks, planes], dim=1)), trunk(x, T, masks), atol=1e-5)
    dropped = torch.tensor([True, True])
    assert torch.allclose(own(x, T, torch.cat([masks, planes], dim=1), dropped), trunk(x, T, masks, dropped), atol=1e-5)


@pytest.mark.parametrize("condition", ["attributes", "label-vae", "control"])
@pytest.mark.parametrize("trunk", ["none", "mask"])
def test_what_the_u_nets_share_is_taken_and_the_rest_is_left(trunk: str, condition: str) -> None:
    given, own = make(trunk, 0, condition_dropout=0.1 if trunk == "mask" else 0.0), make(condition, 1)
    before = {name: value.clone() for name, value in own.state_dict().items()}
    own.begin_with(given)
    after, source = own.state_dict(), given.unet.state_dict()
    shared = {f"unet.{name}" for name in source if f"unet.{name}" in after and not name.startswith("conv_in")}
    assert all(torch.equal(after[name], source[name.removeprefix("unet.")]) for name in shared)
    assert {"unet.out.2.conv.weight", "unet.time_embed.0.weight"} <= shared and len(shared) > 50
    taken = shared | {"unet.conv_in.conv.weight", "unet.conv_in.conv.bias"}
    assert all(torch.equal(after[name], before[name]) for name in after if name not in taken)


def test_a_model_of_the_same_kind_is_taken_whole() -> None:
    trunk, own = make("mask", 0, condition_dropout=0.1), make("mask", 1, condition_dropout=0.1)
    own.begin_with(trunk)
    assert all(torch.equal(value, trunk.state_dict()[name]) for name, value in own.state_dict().items())


@pytest.mark.parametrize(("trunk", "message"), [
    (make("mask", 0), "without condition_dropout"),
    (make("attributes", 0), "conditioned by attributes"),
    (make("none", 0, channels=(8, 16)), r"it has .* \(16, .* for \(8, "),
])
def test_what_a_denoiser_cannot_begin_with(trunk: Denoiser, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("none", 1).begin_with(trunk)


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory, make_small_config: Callable[[Path], Config]) -> Config:
    """A run with trained codecs and latents, and three finished denoisers: its own (mask, without null), "trunk" (mask,
    with null) and "tokens" (attributes)."""
    config = make_small_config(tmp_path_factory.mktemp("lender"))
    for stage in ("image-codec", "mask-codec", "latents", "diffusion"):
        run_stage(stage, config)
    run_stage("diffusion", child(config, "trunk", "mask", condition_dropout=0.5))
    run_stage("diffusion", child(config, "tokens", "attributes"))
    return config


def child(lender: Config, name: str, condition: str, **keys: object) -> Config:
    """A run of its own on the codecs of the lender."""
    return replace(lender, run=replace(lender.run, name=name, codecs=lender.run.name),
                   diffusion=replace(lender.diffusion, condition=condition, **keys))


def test_a_run_begins_with_the_weights_of_the_run_that_it_names(lender: Config) -> None:
    config = child(lender, "begun", "attributes", start="trunk")
    model, weights = diffusion.make_task(*arguments("diffusion", config)).model, load_file(
        Path(lender.run.folder) / "trunk" / bases.STAGE / checkpoint.MODEL)
    assert isinstance(model, Conditioned)
    expected = Denoiser(2, condition_input(Design.of(config)), config.diffusion)
    section = replace(lender.diffusion, condition="mask", condition_dropout=0.5)
    trunk = Denoiser(2, KINDS["mask"].condition_input((3,)), section)
    trunk.load_state_dict(weights)
    expected.begin_with(trunk)
    assert torch.equal(model.denoiser.unet.conv_in.conv.bias, expected.unet.conv_in.conv.bias)
    assert torch.equal(model.denoiser.unet.time_embed[0].weight, weights["unet.time_embed.0.weight"])


@pytest.mark.parametrize(("condition", "keys", "message"), [
    ("none", {"start": "never"}, "`cldm-train diffusion` with the --config of run 'never'"),
    ("none", {"start": "tokens"}, r"tokens.diffusion: its condition is attributes\. Name a run"),
    ("none", {"start": "small"}, r"small.diffusion: cannot be diffusion\.start of this run: .* without condition_drop"),
    ("mask", {"start": "trunk", "channels": (8, 16)}, r"channels: was \[8, 8\], is now \[8, 16\]"),
    ("mask", {"start": "trunk", "schedule": "cosine"}, "schedule: was 'linear', is now 'cosine'"),
])
def test_a_run_that_cannot_be_begun_with_is_named(lender: Config, condition: str, keys: dict[str, object],
                                                  message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_stage("diffusion", child(lender, "refused", condition, **keys))


def test_a_run_does_not_go_on_where_what_it_began_with_has_changed(lender: Config) -> None:
    folder = Path(lender.run.folder)
    shutil.copytree(folder / "trunk", folder / "moving")
    config = child(lender, "follower", "none", start="moving")
    run_stage("diffusion", config)
    run_stage("diffusion", config)
    path = folder / "moving" / bases.STAGE / checkpoint.MODEL
    weights = load_file(path)
    checkpoint.save_tensors(path, weights | {"null": weights["null"] + 1.0}, checkpoint.metadata(path))
    with pytest.raises(InputError, match="begun_with: was "):
        run_stage("diffusion", config)


def test_the_steps_of_every_ancestor_are_known(tmp_path: Path) -> None:
    for run, start, step in (("trunk", "", 7), ("middle", "trunk", 3)):
        folder = tmp_path / run / bases.STAGE
        folder.mkdir(parents=True)
        (folder / checkpoint.CONFIG).write_text(f'{{"start": "{start}"}}')
        checkpoint.save_tensors(folder / checkpoint.MODEL, {"a": torch.zeros(1)}, {"step": str(step)})
    run = RunFolder(RunConfig("last", folder=str(tmp_path)), Cohort(tmp_path, get_domain("lge"), (32, 32), (1.0, 1.0)))
    assert inheritance(run, "middle").steps == {"middle": 3, "trunk": 7}


def test_tokens_at_a_level_where_the_trunk_did_not_attend_change_nothing_at_first() -> None:
    trunk = make("none", 0, attention=(False, False))
    section = replace(SECTION, condition="attributes", attention=(False, True))
    own = Denoiser(2, KINDS["attributes"].condition_input(SHAPES["attributes"]), section).eval()
    own.begin_with(trunk)
    x, tokens = torch.randn(2, 2, 8, 8), torch.randn(2, *SHAPES["attributes"])
    assert torch.equal(own(x, T, tokens), own(x, T, -tokens))  # attention's last layer begins at zero
    level = own.unet.down_blocks[1].resnets[0].state_dict()
    assert all(torch.equal(value, trunk.unet.down_blocks[1].resnets[0].state_dict()[name])
               for name, value in level.items())


@pytest.mark.parametrize(("skew", "mean"), [(0.0, 1 / 2), (0.5, 7 / 12), (1.0, 2 / 3)])
def test_skewed_timesteps_are_noisier_on_the_mean(skew: float, mean: float) -> None:
    u = (torch.arange(10_000) + 0.5) / 10_000
    drawn = diffusion._skewed(u, skew)
    assert drawn.mean().item() == pytest.approx(mean, abs=1e-4) and drawn.min() >= 0 and drawn.max() <= 1

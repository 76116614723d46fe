"""Every way to condition the denoiser: what it is told, what it can and cannot tell apart, and what is trained."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from cldm_runtime.domains.registry import get_domain
from cldm_runtime.errors import InputError
from cldm_runtime.store import open_dataset
from cldm_trainer.cli import arguments, run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.models import condition_input, make_model
from cldm_trainer.config import Config
from cldm_trainer.export import generator_export
from cldm_trainer.export.parity import evaluate
from cldm_trainer.graphs.write import export_graph
from cldm_trainer.networks import (
    AttributeTokens,
    Conditioned,
    ConditionInput,
    ControlEncoder,
    Denoiser,
    LabelVae,
    LabelVectorEncoder,
)
from cldm_trainer.stages import codec, diffusion, latents
from cldm_trainer.stages.moved import label_maps, measured_attributes
from cldm_trainer.training.batches import load_slices, one_hot, step_generator
from cldm_trainer.training.loop import _Trainer
from cldm_trainer.training.run_folder import RunFolder

KINDS = ("attributes", "label-vae", "control")


@pytest.fixture(scope="module")
def lender(tmp_path_factory: pytest.TempPathFactory, make_small_config: Callable[[Path], Config]) -> Config:
    """A run with trained codecs and latents, which others use."""
    config = make_small_config(tmp_path_factory.mktemp("lender"))
    for stage in ("image-codec", "mask-codec", "latents"):
        run_stage(stage, config)
    return config


def child(lender: Config, condition: str, **diffusion_keys: object) -> Config:
    """A run of its own with another condition, on the codecs of the lender."""
    return replace(lender, run=replace(lender.run, name=condition, codecs=lender.run.name),
                   control=replace(lender.control, base="none"),
                   diffusion=replace(lender.diffusion, condition=condition, **diffusion_keys))


def trained(lender: Config, condition: str) -> Config:
    config = child(lender, condition)
    for stage in {"label-vae": ["label-vae"], "control": []}.get(condition, []):
        run_stage(stage, config)
    if condition == "control":
        trained(lender, "none")
    run_stage("diffusion", config)
    return config


def shaken(module: nn.Module) -> nn.Module:
    """With every weight moved: as MONAI makes it the last layer is zero, and so is the prediction."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


@pytest.mark.parametrize("preset", ["corrected", "as-released"])
def test_only_corrected_tokens_tell_which_number_is_which_attribute(small: Config, preset: str) -> None:
    section = replace(small.diffusion, condition="attributes", tokens=preset)
    tokens = AttributeTokens(4, preset, 4)
    denoiser = shaken(Denoiser(2, ConditionInput("attributes", "tokens", tokens.shape), section))
    values, x, defined = torch.tensor([[0.3, 0.9, -0.5, 0.1]]), torch.randn(1, 2, 8, 8), torch.ones(1, 4)
    sets = [tokens(values[:, order], defined)[0] for order in ([0, 1, 2, 3], [1, 0, 2, 3])]
    said = [denoiser(x, torch.tensor([3.0]), told[None]) for told in sets]
    same_set = torch.allclose(sets[0].sort(0).values, sets[1].sort(0).values)
    assert same_set == (preset == "as-released")
    assert ((said[0] - said[1]).abs().max() < 1e-5) == (preset == "as-released")


def test_an_undefined_attribute_has_a_token_of_its_own() -> None:
    tokens, values = AttributeTokens(3, "corrected", 4), torch.tensor([[0.3, 0.0, 0.5]])
    known, unknown = tokens(values, torch.ones(1, 3))[0], tokens(values, torch.tensor([[1.0, 0.0, 1.0]]))[0]
    assert torch.equal(unknown[1], tokens.undefined[1]) and not torch.equal(known[1], unknown[1])
    assert torch.equal(unknown[[0, 2]], known[[0, 2]])


def test_tokens_are_standardised_by_what_is_defined() -> None:
    tokens = AttributeTokens(2, "as-released", 1)
    tokens.standardise_by(torch.tensor([[1.0, 0.0], [3.0, 8.0]]), torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    assert tokens.mean.tolist() == [2.0, 8.0] and tokens.std.tolist() == [1.0, 1.0]
    assert tokens(torch.tensor([[3.0, 9.0]]), torch.ones(1, 2)).flatten().tolist() == [1.0, 1.0]


def test_label_maps_are_those_of_the_latents(lender: Config) -> None:
    maps = label_maps(lender.latents, RunFolder.of(lender), "train")
    assert torch.equal(maps[:8], load_slices(lender.cohort_file, "train").masks)
    assert not torch.equal(maps[8:], maps[:8])
    with torch.no_grad():
        encoded = codec.trained_mask_codec(lender.mask_codec, RunFolder.of(lender)).encode(one_hot(maps, 5))[0]
    stored = latents.load_latents(lender.codecs, RunFolder.of(lender), "train").mask.float()
    assert torch.allclose(encoded, stored, atol=1e-2)


def test_attributes_of_moved_copies_are_measured_on_them(lender: Config) -> None:
    values, defined = measured_attributes(lender.latents, RunFolder.of(lender), "train")
    with open_dataset(lender.cohort_file) as dataset:
        cohort = dataset.mask_attributes[:8]
    moved = get_domain("lge").measure(label_maps(lender.latents, RunFolder.of(lender), "train")[8:].numpy()).values
    np.testing.assert_array_equal(values[:8], np.nan_to_num(cohort))
    np.testing.assert_array_equal(values[8:, :3], np.nan_to_num(moved[:, :3]))
    np.testing.assert_array_equal(values[8:, 3], cohort[:, 3])  # moving does not change the position
    assert defined[::2, 1].sum() == 0 and defined[1::2].min() == 1  # no infarct, no transmurality: still a sample


@pytest.mark.parametrize("kind", ["none", *KINDS])
def test_every_condition_trains_and_samples_on_lent_codecs(lender: Config, kind: str) -> None:
    before = {path: path.read_bytes() for path in lender.run_folder.rglob("*.safetensors")}
    config = trained(lender, kind)
    parts = arguments("diffusion", config)
    task, model = diffusion.make_task(*parts), diffusion.trained_model(*parts)
    drawn = task.sample(model, task.conditions["val"](slice(2)), 2, 0, torch.device("cpu"))
    assert drawn.shape == (2, 2, 8, 8) and torch.isfinite(drawn).all()
    assert before == {path: path.read_bytes() for path in lender.run_folder.rglob("*.safetensors")}
    assert not (config.run_folder / codec.IMAGE_STAGE).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_dropped_condition_is_the_null(lender: Config, kind: str) -> None:
    config = child(lender, kind, condition_dropout=0.5)
    denoiser = shaken(Denoiser(2, condition_input(Design.of(config)), config.diffusion))
    told = torch.randn(2, *denoiser.null.shape, *((8, 8) if kind == "control" else ()))
    x, t = torch.randn(1, 2, 8, 8).repeat(2, 1, 1, 1), torch.tensor([3.0, 3.0])
    kept, dropped = (denoiser(x, t, told, torch.tensor([share, share])) for share in (False, True))
    assert torch.allclose(dropped[0], dropped[1], atol=1e-5) and not torch.allclose(kept[0], kept[1], atol=1e-4)
    assert torch.equal(kept, denoiser(x, t, told))


def test_strategy_3_keeps_its_names(lender: Config) -> None:
    model = make_model(Design.of(child(lender, "mask", condition_dropout=0.1)))
    assert {name.split(".")[0] for name in model.state_dict()} == {"unet", "null"}
    assert model.state_dict()["null"].shape == (3,)


def test_hidden_attributes_are_undefined(lender: Config) -> None:
    task = diffusion.make_task(*arguments("diffusion", child(lender, "attributes", value_dropout=0.5)))
    values, defined = torch.full((64, 4), 0.7), torch.ones(64, 4)
    shown, kept = task.kind.hide((values, defined), 0.5, step_generator(0, 0))
    assert 0.4 < kept.mean() < 0.6 and torch.equal(shown, 0.7 * kept)


def test_control_starts_as_the_base_and_leaves_it_alone(lender: Config) -> None:
    base = diffusion.trained_denoiser(*arguments("diffusion", trained(lender, "none")))
    config = child(lender, "control")
    task = diffusion.make_task(*arguments("diffusion", config))
    model, x, t = task.model, torch.randn(2, 2, 8, 8), torch.tensor([1.0, 7.0])
    assert isinstance(model, Conditioned)
    copied = model.denoiser.controlnet.state_dict()
    shared = [name for name in base.unet.state_dict() if name in copied]
    assert any("down_blocks" in name for name in shared) and any("middle_block" in name for name in shared)
    assert all(torch.equal(base.unet.state_dict()[name], copied[name]) for name in shared)
    assert torch.equal(model(x, t, *task.conditions["train"](slice(2))), base(x, t))
    trainer = _Trainer(task, config.diffusion.optimiser, config.run, config.run_folder / "diffusion")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for _ in range(3):
        trainer.advance()
    changed = {name.split(".")[1 if name.startswith("denoiser") else 0] for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}
    assert changed == {"controlnet", "encoder"}
    assert sum(len(group["params"]) for group in trainer.optimiser.param_groups) == sum(
        1 for name, _ in model.named_parameters() if not name.startswith("denoiser.unet."))


def test_a_missing_or_different_stage_of_the_lender_is_named(lender: Config) -> None:
    config = child(lender, "attributes")
    absent = replace(config, run=replace(config.run, codecs="absent"))
    with pytest.raises(InputError, match="`cldm-train image-codec` with the --config of run 'absent'"):
        run_stage("diffusion", absent)
    with pytest.raises(InputError, match="step 4 of 9"):
        section = replace(lender.image_codec, optimiser=replace(lender.image_codec.optimiser, steps=9))
        run_stage("image-codec", replace(config, image_codec=section))
    with pytest.raises(InputError, match="kl_weight: was 1e-06, is now 1"):
        run_stage("mask-codec", replace(config, mask_codec=replace(lender.mask_codec, kl_weight=1.0)))
    with pytest.raises(InputError, match="another \\[latents\\] section"):
        run_stage("latents", replace(config, latents=replace(lender.latents, copies=3)))


def test_a_base_that_does_not_fit_is_named(lender: Config) -> None:
    config = child(lender, "control")
    with pytest.raises(InputError, match="`cldm-train diffusion` with the --config of run 'never'"):
        run_stage("diffusion", replace(config, control=replace(config.control, base="never")))
    trained(lender, "none")
    with pytest.raises(InputError, match="schedule: was 'linear', is now 'cosine'"):
        run_stage("diffusion", replace(config, diffusion=replace(config.diffusion, schedule="cosine")))


def exported(module: nn.Module, inputs: dict[str, torch.Tensor]) -> float:
    """Largest difference between onnxruntime and torch in double precision, for a batch and for its first sample."""
    session = onnxruntime.InferenceSession(export_graph(module, inputs, ["out"]), providers=["CPUExecutionProvider"])
    assert [spec.name for spec in session.get_inputs()] == list(inputs)
    arrays, expected = {name: value.numpy() for name, value in inputs.items()}, evaluate(module, inputs.values())
    single = session.run(None, {name: array[:1] for name, array in arrays.items()})[0]
    return max(np.abs(session.run(None, arrays)[0] - expected).max(), np.abs(single - expected[:1]).max())


@pytest.mark.parametrize(("kind", "fused"), [
    ("attributes", True), *(pytest.param(kind, False, marks=pytest.mark.long) for kind in ("attributes", "control"))])
def test_exported_denoisers_compute_what_torch_computes(lender: Config, kind: str, fused: bool) -> None:
    config = child(lender, kind)
    denoiser = shaken(Denoiser(2, condition_input(Design.of(config)), config.diffusion))
    for module in denoiser.modules():
        if hasattr(module, "use_flash_attention"):
            module.use_flash_attention = fused
    told = {"context": torch.randn(3, 4, 4)} if kind == "attributes" else {"control": torch.randn(3, 8, 8, 8)}
    inputs = {"x": torch.randn(3, 2, 8, 8), "timestep": torch.tensor([0.0, 4.0, 9.0]), **told}
    assert denoiser(*inputs.values()).abs().max() > 0.1
    assert exported(denoiser, inputs) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_exported_condition_encoders_compute_what_torch_computes(small: Config, kind: str) -> None:
    maps = {"one_hot": one_hot(torch.randint(0, 5, (3, 32, 32)), 5)}
    vae = LabelVae(5, (32, 32), small.label_vae)
    encoders = {"attributes": AttributeTokens(4, "corrected", 4), "control": ControlEncoder(5, (4, 4, 8), 8),
                "label-vae": LabelVectorEncoder(vae, AttributeTokens(8, "corrected", 4))}
    values = {"attributes": torch.rand(3, 4), "defined": torch.tensor([[1.0, 0.0, 1.0, 1.0]]).repeat(3, 1)}
    assert exported(shaken(encoders[kind]), values if kind == "attributes" else maps) < 1e-4


def test_an_unconditional_model_is_not_exported(lender: Config) -> None:

    with pytest.raises(InputError, match="is not exported"):
        generator_export(child(lender, "none"))

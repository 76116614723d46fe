"""From a trained run, however short, to a generator bundle by the export command's own function."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import onnx_fixtures
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.choose import Choice
from cldm_runtime.errors import BundleError, InputError
from cldm_runtime.generation.generator import Generator
from cldm_runtime.verification.compare import Yardstick
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer.adopt.bundle import adopt
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import Config, ControlConfig, LabelVaeConfig, OptimiserConfig
from cldm_trainer.export import generator_export, run
from cldm_trainer.export.checkpoints import last_figures, read_training
from cldm_trainer.stages import bases, diffusion, latents, texture
from cldm_trainer.training.run_folder import RunFolder
from cohort_fixtures import write_drawn_cohort


@pytest.fixture(scope="module")
def trained(short_run: Config) -> Config:
    """The short run, with its generator exported."""
    run(short_run, what="generator", force=True)
    return short_run


def denoiser_and_texture(config: Config) -> tuple[nn.Module, nn.Module]:
    run = RunFolder.of(config)
    return (diffusion.trained_denoiser(Design.of(config), run),
            texture.trained_texture(config.texture, config.codecs, run))


def test_a_short_run_becomes_a_bundle_that_generates(trained: Config) -> None:
    images, masks = Generator.load(trained.export.generator).sample(attributes={"infarct_size": 0.2}, seed=0)
    assert images.shape == (1, 1, 128, 128)
    assert masks.shape == (1, 128, 128)


def test_a_bundle_begins_a_run_with_its_weights(trained: Config, tmp_path: Path) -> None:
    folder = Path(trained.export.generator)
    other = replace(trained, run=replace(trained.run, folder=str(tmp_path)))
    adopt(Design.of(other), other.texture, RunFolder.of(other), folder)
    for made, model in zip(denoiser_and_texture(other), denoiser_and_texture(trained), strict=True):
        assert all(torch.equal(value, model.state_dict()[key]) for key, value in made.state_dict().items())
    run_stage("image-codec", other)  # finished: returns at once
    run_stage("latents", other)
    stds = [latents.load_affines(config.codecs, RunFolder.of(config))[0].std for config in (other, trained)]
    assert torch.equal(*stds)
    section = other.texture
    longer = replace(section, optimiser=replace(section.optimiser, steps=section.optimiser.steps + 1))
    run_stage("texture", replace(other, texture=longer))  # goes on, with a fresh critic
    with pytest.raises(InputError, match="already holds image-codec"):
        adopt(Design.of(other), other.texture, RunFolder.of(other), folder)


def test_a_run_of_other_images_makes_its_own_texture_and_latents_and_may_begin_with_the_denoiser(
        trained: Config, tmp_path: Path) -> None:
    begun = replace(trained, run=replace(trained.run, folder=str(tmp_path), name="begun"))
    adopt(Design.of(begun), begun.texture, RunFolder.of(begun), Path(trained.export.generator), new_images=True)
    assert sorted(path.name for path in (tmp_path / "begun").iterdir() if path.is_dir()) == [
        "diffusion", "image-codec", "mask-codec"]
    run_stage("latents", begun)
    section = replace(begun.diffusion, condition="mask-attributes", image_attributes=("remote_nulling",), start="begun")
    after = replace(begun, run=replace(begun.run, name="after", codecs="begun"), diffusion=section)
    model = diffusion.make_task(Design.of(after), RunFolder.of(after)).model
    mine = model.denoiser.unet.state_dict()["conv_in.conv.weight"]
    bundles = denoiser_and_texture(trained)[0].unet.state_dict()["conv_in.conv.weight"]
    channels = trained.mask_codec.latent_channels
    assert torch.equal(mine[:, :channels], bundles[:, :channels]) and not mine[:, channels:channels + 2].any()


def test_the_manifest_states_counts_steps_and_the_distribution(trained: Config) -> None:
    manifest = Generator.load(trained.export.generator).manifest
    assert manifest.provenance["cohort"] == {"train_slices": 6, "train_patients": 2, "val_slices": 3, "val_patients": 1}
    assert manifest.provenance["steps"]["diffusion"] == 2
    assert manifest.attribute_distribution is not None
    assert len(manifest.attribute_distribution.rows) == 6


def test_quality_is_measured_with_the_segmenter_of_the_run(trained: Config, tmp_path: Path) -> None:
    segmenter = onnx_fixtures.make_segmenter(tmp_path / "segmenter")
    config = replace(trained, export=replace(trained.export, segmenter=str(segmenter), generator=str(tmp_path / "lge")))
    (folder,) = run(config, what="generator")
    measured = Bundle.load(folder).manifest.quality["measured"]
    assert measured["slices"] == 3
    assert measured["phantom: Dice of infarct"] > 0.9  # its images are greys that this segmenter reads back
    assert measured["synthetic: Dice of infarct"] < 0.9
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| phantom: Dice of infarct |" in card and not re.search(r"\breal\b", card)
    assert card.split("\n\n")[1] == "Trained on drawn phantoms; no patient data."


@pytest.mark.parametrize(("cohort", "adopted", "joined"), [
    ("phantom", None, "phantom"), ("patients", None, "patients"), ("", None, ""), ("phantom", "phantom", "phantom"),
    ("phantom", "patients", "patients"), ("phantom", "", ""), ("patients", "phantom", "patients")])
def test_the_nature_is_that_of_the_cohort_and_of_adopted_weights(trained, tmp_path, cohort, adopted, joined) -> None:
    config = replace(trained, run=replace(trained.run, folder=str(tmp_path), codecs=""),
                     cohort=replace(trained.cohort, folder=str(tmp_path)))
    write_drawn_cohort(config.cohort_file, {"train": 3, "val": 3}, cohort)
    if adopted is not None:
        config.run_folder.mkdir()
        (config.run_folder / "adopted.json").write_text(json.dumps({"nature": adopted}))
    run = RunFolder.of(config)
    assert read_training(run, {"diffusion": run.own("diffusion")}).nature == joined


def test_torchscript_graphs_are_listed_unless_they_are_left_out(trained: Config, tmp_path: Path) -> None:
    roles = ("denoiser", "mask_encoder", "decoder", "encoder")
    manifest = Generator.load(trained.export.generator).manifest
    assert manifest.files().keys() >= {f"{role}.{form}" for role in roles for form in ("onnx", "ts")}
    config = replace(trained, export=replace(trained.export, generator=str(tmp_path / "lge")))
    (folder,) = run(config, what="generator", torchscript=False)
    assert not list(folder.glob("*.ts")) and all(graph.torchscript is None
                                                 for graph in Bundle.load(folder).manifest.graphs.values())


def test_torchscript_draws_what_onnxruntime_draws(trained: Config) -> None:
    yardstick = Yardstick(Bundle.load(trained.export.generator), samples=3)
    report = yardstick.report(Choice("torchscript", "torchscript"))
    assert report.provider == "torchscript" and report.failed == ()
    assert report.samples is not None and report.samples.samples == 3


OBJECTIVES = {"attributes": {"objective": "flow", "schedule": "flow"},
              "label-vae": {"objective": "sample", "zero_terminal_snr": True}}


@pytest.mark.parametrize("condition", ["attributes", *(pytest.param(name, marks=pytest.mark.long)
                                                      for name in ("label-vae", "control"))])
def test_a_run_on_lent_codecs_becomes_a_bundle(trained: Config, tmp_path: Path, condition: str) -> None:
    config = lent(trained, condition, tmp_path / "lge")
    if condition == "control":
        run_stage("diffusion", lent(trained, "none", tmp_path / "never"))
    if condition == "label-vae":
        run_stage("label-vae", config)
    run_stage("diffusion", config)
    export = generator_export(config)
    with torch.no_grad():  # the last layer begins at zero, and a denoiser that says nothing is always right
        for parameter in export.networks.denoiser.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape))
    generator = Generator.load(export.write(tmp_path / "lge"))
    images, masks = generator.sample(attributes={"infarct_size": 0.2}, seed=0, guidance=1.5)
    assert images.shape == (1, 1, 128, 128) and (masks is None) == (condition == "attributes")
    assert not np.array_equal(images, generator.sample(attributes={"infarct_size": 0.2}, seed=0, guidance=0.0)[0])
    schedule = generator.manifest.schedule
    assert schedule is not None and schedule.prediction_type == config.diffusion.objective
    assert (schedule.alphas_cumprod[-1] == 0.0) == (condition in OBJECTIVES)
    assert all(check.passed for check in verify_bundle(generator.bundle))
    assert config.run.codecs == "short" and bases.STAGE in generator.manifest.provenance["steps"]


def lent(lender: Config, condition: str, target: Path) -> Config:
    """A run of its own with another condition and objective, on the codecs of the lender."""
    dropout = 0.0 if condition == "none" else 0.1
    return replace(lender, run=replace(lender.run, name=condition, codecs=lender.run.name),
                   control=ControlConfig("none", (4, 4, 8)),
                   label_vae=LabelVaeConfig(OptimiserConfig(2, 2, 1e-3), channels=(4, 4, 4)),
                   diffusion=replace(lender.diffusion, condition=condition, condition_dropout=dropout,
                                     context_width=4, **OBJECTIVES.get(condition, {})),
                   export=replace(lender.export, generator=str(target)))


def test_an_existing_bundle_stops_the_export_before_anything_is_loaded(trained: Config) -> None:
    with pytest.raises(BundleError, match="--force"):
        run(replace(trained, run=replace(trained.run, name="never trained")), what="generator")


def test_an_untrained_stage_is_named(trained: Config) -> None:
    with pytest.raises(InputError, match="image-codec"):
        generator_export(replace(trained, run=replace(trained.run, name="never trained")))


def test_few_real_slices_suffice_for_parity(trained: Config) -> None:
    training = read_training(RunFolder.of(trained), {})
    assert training.images.shape == (3, 1, 128, 128)
    assert training.one_hot.shape == (3, 5, 128, 128)


def test_last_figures_reads_the_last_row(tmp_path: Path) -> None:
    (tmp_path / "validation.csv").write_text("step,l1,dice\n10,0.5,0.1\n20,0.25,nan\n")
    assert last_figures(tmp_path / "validation.csv") == {"step": 20, "l1": 0.25}
    assert last_figures(tmp_path / "missing.csv") == {}

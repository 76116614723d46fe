"""Attributes of images as conditions, beside the label map and alone: trained, exported, requested."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.bundle.sources import attribute_inputs
from cldm_runtime.engines.open import open_graph
from cldm_runtime.engines.processor import lacks_vnni
from cldm_runtime.errors import InputError
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import export
from cldm_trainer.adopt.bundle import adopt
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design, Table
from cldm_trainer.conditions.models import make_model
from cldm_trainer.conditions.registry import KINDS
from cldm_trainer.config import AcquisitionConfig, Config
from cldm_trainer.export.reduced.int8 import write_int8
from cldm_trainer.networks import Affine
from cldm_trainer.stages import diffusion
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.diffusion import DiffusionTask
from cldm_trainer.stages.latents import Latents
from cldm_trainer.stages.moved import image_attributes, measured_attributes
from cldm_trainer.stages.trained import TrainedStages
from cldm_trainer.training.batches import load_slices
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import SHORT, train_short

ASKED = 'image_attributes = ["lesion_contrast", "remote_nulling"]\n'


@pytest.mark.parametrize(("lines", "fault"), [
    ('condition = "mask-attributes"\n', "diffusion.image_attributes: empty, expected some"),
    ('condition = "mask-attributes"\nimage_attributes = ["blur"]\n', "found blur, expected some of: lesion_contrast"),
    (ASKED, "for the condition mask, expected none"),
    ('condition = "attributes"\nimage_attributes = ["noise_level"]\n[acquisition]\ndetection = "real"\n',
     "the last graph of [acquisition] applies"),
    ("region_weight = 2.0\n", "diffusion.region_weight: found 2.0 for the condition mask, expected 0"),
    (f'condition = "mask-attributes"\nregion_weight = -1.0\n{ASKED}', "found -1.0, expected 0 or more"),
    ("[texture]\nchannels = 0\n", "texture.channels: found 0, expected 1 or more, or 0 with [acquisition]")])
def test_contradictions_are_named(tmp_path: Path, lines: str, fault: str) -> None:
    (tmp_path / "base.toml").write_text(SHORT)
    section = "" if lines.startswith("[") else "[diffusion]\n"
    (tmp_path / "short.toml").write_text(f'extends = "base.toml"\n{section}{lines}')
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "short.toml")
    assert fault in str(error.value)


def test_attributes_of_images_follow_those_of_maps_and_stay_when_moved(small: Config) -> None:
    run, names = RunFolder.of(small), ("noise_level", "remote_nulling")
    values, defined = measured_attributes(replace(small.latents, copies=2), run, "train", names)
    images = image_attributes(run.cohort, "train", names)
    assert values.shape == defined.shape == (16, 6) and np.isfinite(images).any()
    for copy in (values[:8, 4:], values[8:, 4:]):
        np.testing.assert_array_equal(copy, np.nan_to_num(images))


def adopts_the_bundle(config: Config, folder: Path) -> None:
    """Another run has the denoiser of the bundle and what standardises its attributes; an unconditional one begins with
    it."""
    other = replace(config, run=replace(config.run, name="other"))
    adopt(Design.of(other), other.texture, RunFolder.of(other), Path(config.export.generator))
    made, model = (diffusion.trained_model(Design.of(each), RunFolder.of(each)) for each in (other, config))
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in made.state_dict().items())
    section = replace(config.diffusion, condition="none", condition_dropout=0.0, start="other", image_attributes=())
    free = replace(other, run=replace(other.run, name="free", codecs="other"), diffusion=section)
    run_stage("latents", other)
    begun = diffusion.make_task(Design.of(free), RunFolder.of(free)).model
    first, width = "conv_in.conv.weight", len(made.denoiser.null)
    assert torch.equal(begun.unet.state_dict()[first], made.denoiser.unet.state_dict()[first][:, width:])


def computes_in_int8(config: Config, folder: Path) -> None:
    """Activations are measured with attributes that are drawn where none are requested."""
    source, slices = Path(config.export.generator), load_slices(config.cohort_file, "val")
    masks = slices.masks.numpy()
    reduced = write_int8(source, folder / "int8", slices.images.numpy(), masks, folder / "none")
    exact, rough = (Generator.load(path).sample(masks=masks)[0] for path in (source, reduced))
    assert 0 < np.sqrt(np.mean((exact - rough) ** 2)) < 0.03


def test_the_denoiser_is_told_contrast_in_units_of_signal_where_noise_is_applied_later(small: Config) -> None:
    section = replace(small.diffusion, image_attributes=("lesion_contrast", "remote_nulling"))
    before = Design.of(replace(small, diffusion=section))
    after = Design.of(replace(small, diffusion=section, acquisition=AcquisitionConfig("real")))
    assert before.told_attributes == section.image_attributes and not any(before.factors)
    assert after.told_attributes == (*section.image_attributes, "noise_level")
    assert after.factors == (*[None] * 4, 6, None)
    run = RunFolder.of(small)
    ratio, noise = image_attributes(run.cohort, "train", ("lesion_contrast", "noise_level")).T
    told, defined = TrainedStages(after, run).attributes("train")
    some = np.isfinite(ratio)
    assert some.any() and told.shape[1] == 6 and (defined[: len(some), 4].numpy() > 0).tolist() == some.tolist()
    np.testing.assert_allclose(told[: len(some), 4][some], (ratio * noise)[some], rtol=1e-5)


@pytest.mark.parametrize(("label", "regions"), [(0, 0.0), (2, 1.0), (3, 2.0)])
def test_errors_count_more_where_the_regions_of_attributes_lie(small: Config, label: int, regions: float) -> None:
    """The infarct lies in the region of contrast and in that of nulling, the healthy wall in the second alone."""
    section = replace(small.diffusion, condition="mask-attributes", region_weight=4.0,
                      image_attributes=("lesion_contrast", "remote_nulling"))
    design = Design.of(replace(small, diffusion=section))
    planes = KINDS["mask-attributes"].learned(design)
    assert planes is not None
    one_hot = torch.zeros(1, 5, 128, 128)
    one_hot[:, 0] = 1.0
    one_hot[:, 0, :64], one_hot[:, label, :64] = 0.0, 1.0
    counted = KINDS["mask-attributes"].regions(planes, (torch.empty(0), one_hot))
    assert counted is not None and counted.shape[:2] == (1, 1)
    half = counted.shape[2] // 2
    assert counted[0, 0, :half].unique().tolist() == [regions] and counted[0, 0, half:].unique().tolist() == [0.0]


@pytest.mark.parametrize(("part", "changes"), [(128, False), (64, True)])
@torch.no_grad()
def test_the_weight_of_a_region_changes_only_how_places_compare(small: Config, part: int, changes: bool) -> None:
    section = replace(small.diffusion, condition="mask-attributes", image_attributes=("lesion_contrast",))
    design = Design.of(replace(small, diffusion=section))
    model = make_model(design)
    one_hot = torch.zeros(2, 5, 128, 128)
    one_hot[:, 3, :part], one_hot[:, 0, part:] = 1.0, 1.0
    z = torch.randn(2, design.codecs.image.latent_channels, *(128 // design.codecs.image.stride,) * 2)
    told = (torch.randn(2, design.mask_channels, *z.shape[2:]), one_hot, torch.ones(2, 5), torch.ones(2, 5))
    table, latents = Table(told, torch.Tensor.float), Latents(z, torch.zeros_like(z), z)
    affine = Affine(torch.zeros(z.shape[1]), torch.ones(z.shape[1]))
    losses = [DiffusionTask(replace(section, region_weight=weight), model, {"train": latents, "val": latents},
                            {"train": table, "val": table}, affine, nn.Identity()
                            ).validate(model, torch.device("cpu"))["loss"] for weight in (0.0, 4.0)]
    assert (abs(losses[0] - losses[1]) > 1e-4) == changes


@pytest.mark.long
@pytest.mark.parametrize("condition", ["mask-attributes", "attributes"])
def test_the_same_signal_in_another_noise_is_the_same_to_the_denoiser(tmp_path: Path, condition: str) -> None:
    changes = f'[acquisition]\ndetection = "real"\n[diffusion]\ncondition = "{condition}"\n{ASKED}'
    config = train_short(tmp_path, changes)
    export.run(config, what="generator")
    bundle = Bundle.load(config.export.generator)
    assert all(check.passed for check in verify_bundle(bundle))
    names = [spec.name for spec in bundle.manifest.attributes]
    assert names[4:] == ["lesion_contrast", "remote_nulling", "noise_level"]
    encoder = open_graph(bundle, bundle.manifest.conditions[0].encoder)
    maps = {"one_hot": bundle.domain().labels.one_hot(np.full((4, 128, 128), 3, np.uint8))}  # infarct everywhere
    contrasts, noises = (8, 4, 8, 8), (0.04, 0.08, 0.08, np.nan)
    told = np.array([[0.2, 0.5, 0.3, 0.5, contrast, 0.5, noise]
                     for contrast, noise in zip(contrasts, noises, strict=True)], np.float32)
    given = {**attribute_inputs(told), **(maps if condition == "mask-attributes" else {})}
    same, also, other, unknown = encoder.run(given)[bundle.manifest.conditions[0].feeds]
    np.testing.assert_allclose(same, also, atol=1e-5)
    assert np.abs(same - other).max() > 1e-3 and np.abs(same - unknown).max() > 1e-3
    generator = Generator.load(config.export.generator)
    ranges = generator.canvas.imaging
    asked = {"infarct_size": 0.2, "lesion_contrast": ranges["lesion_contrast"][0]}
    images = [generator.sample({**asked, "noise_level": level})[0] for level in ranges["noise_level"]]
    assert not np.array_equal(*images)


@pytest.mark.long
@pytest.mark.parametrize("condition", ["mask-attributes", "attributes"])
def test_contrast_can_be_requested_of_a_short_run(tmp_path: Path, condition: str) -> None:
    config = train_short(tmp_path, f'[diffusion]\ncondition = "{condition}"\ncondition_dropout = 0.1\n{ASKED}')
    export.run(config, what="generator")
    bundle = Bundle.load(config.export.generator)
    assert all(check.passed for check in verify_bundle(bundle))
    assert [spec.name for spec in bundle.manifest.attributes][4:] == ["lesion_contrast", "remote_nulling"]
    generator = Generator.load(config.export.generator)
    low, high = generator.canvas.imaging["lesion_contrast"]
    images = [generator.sample({"infarct_size": 0.2, "lesion_contrast": value})[0] for value in (low, high, low)]
    assert np.array_equal(images[0], images[2])
    told = condition == "attributes"  # two steps leave cross-attention without effect; planes have it from the start
    assert told or not np.array_equal(images[0], images[1])
    if condition == "mask-attributes":
        adopts_the_bundle(config, tmp_path)
        if not lacks_vnni():
            computes_in_int8(config, tmp_path)
    with pytest.raises(InputError, match=r"noise_level cannot be requested of this bundle.*lesion_contrast"):
        generator.sample({"infarct_size": 0.2, "noise_level": 0.05})

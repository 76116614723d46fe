"""Diffusion on the pixels themselves: trained, exported, verified, and images generated from label maps."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.engines.open import open_graph
from cldm_runtime.errors import InputError
from cldm_runtime.store import open_dataset
from cldm_trainer.networks import Affine, PlainDecoder
from cldm_trainer.stages import codec, texture
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.latents import load_affines, load_latents
from cldm_trainer.training.batches import load_slices
from cldm_trainer.training.run_folder import RunFolder
from declared_path import call, train
from pixel_fixtures import write_configuration, write_pixels


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("pixels")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("diffusion", "--config", str(write_pixels(folder)))
        train("export", "--config", "pixels.toml", "--what", "generator", "--no-torchscript")
        yield folder


def test_nothing_but_the_denoiser_is_trained(path: Path) -> None:
    assert {stage.parent.name for stage in (path / "runs" / "pixels").rglob("model.safetensors")} == {"diffusion"}


def test_latents_are_the_pixels_with_unit_spread(path: Path) -> None:
    config = load_config("pixels.toml")
    run, images = RunFolder.of(config), load_slices(config.cohort_file, "val").images
    latents, affine = load_latents(config.codecs, run, "val"), load_affines(config.codecs, run)[0]
    np.testing.assert_allclose(latents.mean.float(), 2.0 * images - 1.0, atol=1e-3)
    train_mean = load_latents(config.codecs, run, "train").mean.float()
    assert float(affine.standardise(train_mean).std(correction=0)) == pytest.approx(1.0, abs=1e-3)
    assert len(train_mean) == 16 and not latents.deviation.any() and latents.deviation.shape == (4, 1, 1, 1)


def test_the_bundle_is_verified_and_generates(path: Path) -> None:
    assert call("verify", "out/pixels") == 0
    assert call("gen", "--bundle", "out/pixels", "--masks", "cohort/cohort.h5", "--n", 5, "--out", "samples.h5") == 0
    with open_dataset("samples.h5") as samples, open_dataset("cohort/cohort.h5") as cohort:
        assert samples.images().shape == (5, 1, 128, 128) and np.array_equal(samples.masks(), cohort.masks(slice(0, 5)))


def test_the_manifest_says_what_it_is(path: Path) -> None:
    manifest = Bundle.load(path / "out" / "pixels").manifest
    assert "diffusion on the pixels, conditioned on the label map" in manifest.description
    assert manifest.latent is not None and (manifest.latent.shape, manifest.latent.channels) == ((128, 128), 1)
    share = np.array(manifest.schedule.alphas_cumprod)
    plain = load_config("pixels.toml").diffusion.timesteps
    assert len(share) == plain and share[plain // 2] == pytest.approx(0.2, abs=0.02)  # 1/2 before the shift


def test_the_decoder_only_scales_and_clips(path: Path) -> None:
    bundle = Bundle.load(path / "out" / "pixels")
    graph = onnx.load(bundle.path / bundle.manifest.graphs["decoder"].file).graph
    assert {node.op_type for node in graph.node} <= {"Mul", "Add", "Clip"}
    (mean,), (std,) = bundle.manifest.latent.mean, bundle.manifest.latent.std
    grey = np.linspace(-0.5, 1.5, 128 * 128, dtype=np.float32).reshape(1, 1, 128, 128)
    image = open_graph(bundle, "decoder").run({"latent": (2.0 * grey - 1.0 - mean) / std})["image"]
    np.testing.assert_allclose(image, np.clip(grey, 0.0, 1.0), atol=1e-6)


def test_what_is_encoded_is_decoded_whatever_the_noise(path: Path) -> None:
    bundle, image = Bundle.load(path / "out" / "pixels"), np.random.default_rng(0).random((2, 1, 128, 128), np.float32)
    noise = np.random.default_rng(1).standard_normal(image.shape).astype(np.float32)
    latent = open_graph(bundle, "encoder").run({"image": image, "posterior_noise": noise})["latent"]
    np.testing.assert_allclose(open_graph(bundle, "decoder").run({"latent": latent})["image"], image, atol=1e-6)


def first_images(file: str) -> np.ndarray:
    with open_dataset(file) as dataset:
        return dataset.images(slice(0, 2))


def test_a_given_image_draws_samples_towards_it(path: Path) -> None:
    common = ("gen", "--bundle", "out/pixels", "--n", 2)
    assert call(*common, "--masks", "cohort/cohort.h5", "--out", "free.h5") == 0
    for similarity in (0, 1):
        assert call(*common, "--like", "cohort/cohort.h5", "--similarity", similarity, "--from-step", 240, "--out",
                    f"like-{similarity}.h5") == 0
    given, free, none, whole = map(first_images, ("cohort/cohort.h5", "free.h5", "like-0.h5", "like-1.h5"))
    assert np.array_equal(free, none) and np.abs(whole - given).mean() < np.abs(free - given).mean()


def test_decoded_values_by_hand() -> None:
    decoder = PlainDecoder(Affine(torch.tensor([0.5]), torch.tensor([2.0])))
    latent = torch.tensor([-2.0, -0.75, 0.0, 1.0]).reshape(1, 1, 2, 2)  # raw: -3.5, -1, 0.5, 2.5
    assert decoder(latent).flatten().tolist() == [0.0, 0.0, 0.75, 1.0]


def test_stages_that_have_nothing_to_train_say_so(path: Path) -> None:
    config = load_config("pixels.toml")
    with pytest.raises(InputError, match="image-codec: the codec is the identity"):
        codec.run_image_codec(config.image_codec, RunFolder.of(config))
    with pytest.raises(InputError, match="texture: the image codec is the identity"):
        texture.run(config.texture, config.codecs, config.acquisition, RunFolder.of(config))


@pytest.mark.parametrize(("old", "new", "message"), [
    ("latent_channels = 1", "", "image_codec.latent_channels: found 0"),
    ('[mask_codec]\ncodec = "identity"', "[mask_codec]", "mask_codec.codec: found 'kl', expected one of identity"),
    ("patch = 4", "patch = 128", r"prepare.shape: found \[128, 128\], expected multiples of 256"),
    ("patch = 4", "patch = 0", "found patch 0"),
    ("threads = 1", 'threads = 1\noutput = "labels"', "image_codec.codec: found 'identity' where run.output is labels"),
    ('schedule = "cosine"', 'objective = "flow"\nschedule = "flow"', "diffusion.shifted_for: found 128, expected 0"),
    ("[latents]", '[acquisition]\ndetection = "real"\n[latents]', "acquisition.detection: images of the codec"),
    ("[latents]", '[distil]\nbundle = "x"\n[latents]', "small_codec: the codec identity has nothing to imitate"),
])
def test_contradictions_are_found(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(write_configuration(tmp_path, {old: new}))


def test_another_number_of_channels_is_named(path: Path) -> None:
    write_configuration(path, {'name = "pixels"': 'name = "two"', "latent_channels = 1": "latent_channels = 2"})
    with pytest.raises(InputError, match=r"latent_channels: found 2, but the images .* have 1 channel"):
        config = load_config("pixels.toml")
        codec.trained_image_codec(config.image_codec, RunFolder.of(config))
    write_configuration(path)

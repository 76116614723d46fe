"""Shapes of codecs and denoisers, of every preset, and the modules that are exported."""

from pathlib import Path

import pytest
import torch

from cldm_trainer.conditions.kind import Design
from cldm_trainer.conditions.models import condition_input
from cldm_trainer.config import Config
from cldm_trainer.networks import (
    Affine,
    Codec,
    ConditionInput,
    Denoiser,
    Encoder,
    MaskEncoder,
    Texture,
    TexturedDecoder,
)
from cldm_trainer.stages.config_file import load_config

PRESETS = [path for path in sorted((Path(__file__).parents[3] / "trainer" / "configs").glob("*.toml"))
           if len(load_config(path).prepare.shape) == 2]  # volumes: tests/trainer/test_volume_presets.py


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_networks_have_the_latent_of_the_paper(path: Path) -> None:
    config = load_config(path)
    with torch.device("meta"):
        for channels, section in ((1, config.image_codec), (5, config.mask_codec)):
            codec = Codec(channels, section)
            mean, deviation = codec.encode(torch.zeros(2, channels, 128, 128))
            assert mean.shape == deviation.shape == (2, section.latent_channels, 32, 32)
            assert codec.decode(mean).shape == (2, channels, 128, 128)


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_preset_denoisers_keep_the_shape(path: Path) -> None:
    config = load_config(path)
    x, told_as = config.image_codec.latent_channels, condition_input(Design.of(config))
    shape = told_as.shape
    told = () if not shape else (torch.zeros(2, *shape, *(() if len(shape) == 2 else (32, 32)), device="meta"),)
    with torch.device("meta"):
        said = Denoiser(x, told_as, config.diffusion)(torch.zeros(2, x, 32, 32), torch.zeros(2), *told)
    assert said.shape == (2, x, 32, 32)


def test_the_papers_sizes() -> None:
    config = load_config(next(path for path in PRESETS if path.stem == "phantom-paper"))
    with torch.device("meta"):
        codec = Codec(1, config.image_codec)
        denoiser = Denoiser(1, ConditionInput("mask", "channels", (1,)), config.diffusion)
    assert sum(p.numel() for p in codec.parameters()) == pytest.approx(33.4e6, rel=0.01)
    assert sum(p.numel() for p in denoiser.parameters()) == pytest.approx(0.702e6, rel=0.01)


def test_a_codec_starts_from_the_given_noise(small: Config) -> None:
    codec, x = Codec(1, small.image_codec), torch.rand(1, 1, 32, 32)
    zero = torch.zeros(1, 2, 8, 8)
    assert torch.equal(codec(x, zero)[0], codec.decode(codec.encode(x)[0]))
    assert not torch.equal(codec(x, zero)[0], codec(x, zero + 1.0)[0])


def test_affine_there_and_back() -> None:
    affine = Affine(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 4.0]))
    z = torch.ones(1, 2, 1, 1)
    assert affine.standardise(z).flatten().tolist() == [0.0, 0.75]
    assert torch.equal(affine.restore(affine.standardise(z)), z)


def test_exported_modules_map_images_to_latents_and_back(small: Config) -> None:
    image, mask = Codec(1, small.image_codec), Codec(5, small.mask_codec)
    affine = Affine(torch.zeros(2), torch.ones(2))
    latent = Encoder(image, affine)(torch.rand(2, 1, 32, 32), torch.zeros(2, 2, 8, 8))
    assert latent.shape == (2, 2, 8, 8)
    assert MaskEncoder(mask, Affine(torch.zeros(3), torch.ones(3)))(torch.rand(2, 5, 32, 32)).shape == (2, 3, 8, 8)
    drawn = TexturedDecoder(image, affine, Texture(2, 4, 4))(latent, torch.randn(2, 1, 32, 32))
    assert drawn.shape == (2, 1, 32, 32) and drawn.min() >= 0.0 and drawn.max() <= 1.0


def test_the_texture_of_a_window_is_that_of_the_slice() -> None:
    torch.manual_seed(0)
    texture = Texture(2, 4, 4)
    mean, z, noise = torch.rand(1, 1, 64, 64), torch.randn(1, 2, 16, 16), torch.randn(1, 1, 64, 64)
    whole = texture(mean, z, noise)
    pixels = slice(16, 48)
    part = texture(mean[..., pixels, pixels], z, noise[..., pixels, pixels], (slice(4, 12), slice(4, 12)))
    inner = slice(10, -10)  # beyond it the window's own border counts
    torch.testing.assert_close(part[..., inner, inner], whole[..., pixels, pixels][..., inner, inner])


def test_the_texture_knows_the_scan_as_a_whole() -> None:
    torch.manual_seed(0)
    texture = Texture(2, 4, 4)
    mean, z, noise = torch.rand(1, 1, 64, 64), torch.randn(1, 2, 16, 16), torch.randn(1, 1, 64, 64)
    elsewhere = z.clone()
    elsewhere[..., :4, :4] += 5.0
    changed = (texture(mean, elsewhere, noise) - texture(mean, z, noise)).abs()
    assert changed[..., -8:, -8:].max() > 0.0

"""A run with [acquisition] becomes a bundle whose last graph applies noise of the requested level."""


from dataclasses import replace

import numpy as np
import pytest
import torch

from cldm_runtime import Generator
from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_runtime.verification.replay import verify_bundle
from cldm_trainer import export
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import AcquisitionConfig, Config
from cldm_trainer.networks import TexturedDecoder
from cldm_trainer.stages.from_bundle import load_module
from cldm_trainer.stages.needed import is_needed
from cldm_trainer.stages.texture import trained_texture
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import train_short

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    made = train_short(tmp_path_factory.mktemp("acquired"), '[acquisition]\ndetection = "magnitude"\n')
    export.run(made, what="generator")
    return made


def test_it_verifies_and_states_the_distribution(config: Config) -> None:
    bundle = Bundle.load(config.export.generator)
    checks = {check.name: check for check in verify_bundle(bundle)}
    assert checks["acquisition/acquired"].passed and checks["loop/image"].passed
    spec, graphs = bundle.manifest.acquisition, bundle.manifest.graphs
    assert spec is not None and spec.detection == "magnitude"
    assert spec.values[0].low == max(spec.residual_noise, spec.values[0].values[0])
    assert [tensor.name for tensor in graphs["decoder"].inputs] == ["latent"]
    assert graphs["acquisition"].input("thermal_noise").shape == ("N", 2, 128, 128)


def test_more_noise_is_generated_where_more_is_requested(config: Config) -> None:
    generator = Generator.load(config.export.generator)
    low, high = generator.canvas.imaging["noise_level"]
    still, noisy, noisier = (generator.sample({"infarct_size": 0.2, "noise_level": level})[0]
                             for level in (low, 0.5 * (low + high), high))
    assert 0 < np.abs(noisy - still).mean() < np.abs(noisier - still).mean()


def test_its_decoder_is_read_back(config: Config) -> None:
    bundle = Bundle.load(config.export.generator)
    decoder = load_module(Design.of(config), config.texture, bundle, "decoder")
    case = bundle.reference()
    found = decoder(torch.from_numpy(case["decoder/in/latent"])).numpy()
    np.testing.assert_allclose(found, case["decoder/out/image"], atol=1e-4)


def test_without_a_texture_the_decoder_gives_the_codecs_image(config: Config) -> None:
    plain = replace(config, texture=replace(config.texture, channels=0),
                    export=replace(config.export, generator=f"{config.export.generator}-plain"))
    export.run(plain, what="generator")
    bundle = Bundle.load(plain.export.generator)
    latent = torch.from_numpy(bundle.reference()["decoder/in/latent"])
    textured = load_module(Design.of(config), config.texture, Bundle.load(config.export.generator), "decoder")
    assert isinstance(textured, TexturedDecoder)
    np.testing.assert_allclose(bundle.reference()["decoder/out/image"], textured.mean(latent).clamp(0, 1), atol=2e-3)
    read_back = load_module(Design.of(plain), plain.texture, bundle, "decoder")
    np.testing.assert_allclose(read_back(latent).numpy(), bundle.reference()["decoder/out/image"], atol=1e-4)
    assert "texture" not in bundle.manifest.provenance["steps"] and not is_needed("texture", plain)


def test_a_texture_for_the_last_graph_is_no_other(config: Config) -> None:
    run = RunFolder.of(config)
    assert trained_texture(config.texture, config.codecs, run, config.acquisition) is not None
    for other in (AcquisitionConfig(), AcquisitionConfig("real")):
        with pytest.raises(InputError, match="acquisition"):
            trained_texture(config.texture, config.codecs, run, other)

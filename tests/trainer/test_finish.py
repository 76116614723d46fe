"""The finished decoder: it begins as the textured one, learns without its encoder, and is exported in its place."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.cli import stage_function
from cldm_trainer.config import Config, OptimiserConfig
from cldm_trainer.export.checkpoints import load_generator
from cldm_trainer.export.graphs import export_graph
from cldm_trainer.networks import Finish, FinishedDecoder
from cldm_trainer.stages import finish
from cldm_trainer.stages.latents import trained_codec


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, make_small_config: Callable[[Path], Config]) -> Config:
    """A run with everything but its finish."""
    small = make_small_config(tmp_path_factory.mktemp("finish"))
    for stage in ("image-codec", "mask-codec", "texture", "diffusion"):
        stage_function(stage)(small)
    section = replace(small.finish, enabled=True, optimiser=OptimiserConfig(3, 4, 1e-2), critic_channels=(4, 8),
                      adversarial_weight=1.0)
    return replace(small, finish=section)


def test_an_untrained_finish_changes_nothing() -> None:
    added = Finish(4, 5, 3)(*torch.rand(3, 2, 1, 16, 16), torch.randn(2, 3))
    assert added.shape == (2, 1, 16, 16) and not added.any()


def test_a_finish_that_is_missing_is_named(config: Config) -> None:
    with pytest.raises(InputError, match="cldm-train finish"):
        finish.trained_decoder(config)
    assert not isinstance(finish.trained_decoder(replace(config, finish=replace(config.finish, enabled=False))),
                          FinishedDecoder)


def test_the_decoder_learns_and_the_encoder_stays(config: Config) -> None:
    finish.run(config)
    decoder, codec = finish.trained_decoder(config), trained_codec(config, "image-codec")
    assert isinstance(decoder, FinishedDecoder) and decoder.finish.last.weight.any()
    assert (config.run_folder / "finish" / "validation.csv").exists()
    image, noise = torch.rand(1, 1, 32, 32), torch.zeros(1, 2, 8, 8)
    assert torch.equal(decoder.codec.encode(image)[0], codec.encode(image)[0])
    assert not torch.equal(decoder.codec.decode(noise), codec.decode(noise))


def test_one_scan_differs_from_another(config: Config) -> None:
    finish.run(config)
    decoder, latent = finish.trained_decoder(config), torch.zeros(1, 2, 8, 8)
    noise = torch.zeros(1, 2, 32, 32)
    images = [decoder(latent, noise, scan) for scan in (torch.zeros(1, 4), torch.ones(1, 4))]
    assert not torch.equal(*images)


def test_the_exported_graph_takes_all_the_noise(config: Config) -> None:
    finish.run(config)
    export = load_generator(config)
    inputs = export.example_inputs()["random"]["decoder"]
    assert {name: tuple(value.shape[1:]) for name, value in inputs.items()} == {
        "latent": (2, 8, 8), "texture_noise": (2, 32, 32), "scan": (4,)}
    graph = onnxruntime.InferenceSession(export_graph(export.networks.decoder, inputs, ["image"]))
    found = graph.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
    assert np.abs(found - export.networks.decoder(*inputs.values()).numpy()).max() < 1e-5

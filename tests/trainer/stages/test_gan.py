"""The comparators of segmentation-guided diffusion: SPADE trained as a GAN, and the label map in one channel. Trained
for a few steps, exported, verified, and images generated from label maps."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cldm_runtime.bundle.bundle import Bundle
from cldm_runtime.errors import InputError
from cldm_runtime.store import open_dataset
from cldm_trainer.config import GanConfig
from cldm_trainer.networks.identity import LabelValueEncoder
from cldm_trainer.networks.spade import SpadeGenerator
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.stages.table import run_stage
from declared_path import call, train
from pixel_fixtures import write_configuration, write_pixels

GAN = {"[latents]": """[gan]
channels = [8, 8]
hidden_channels = 4
mask_channels = 4
style = 8
critic_channels = 4
optimiser = {steps = 2, batch_size = 2, learning_rate = 1e-3}
[latents]"""}
VALUE = {"patch = 4": 'condition = "mask-value"\npatch = 4'}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("gan")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train("all", "--config", str(write_pixels(folder, {**GAN, 'segmenter = "out/segmenter"': 'segmenter = ""'})))
        train("export", "--config", "pixels.toml", "--what", "generator", "--no-torchscript")
        yield folder


def test_the_network_is_trained_instead_of_a_denoiser(path: Path) -> None:
    assert {stage.parent.name for stage in (path / "runs" / "pixels").rglob("model.safetensors")} == {"gan"}
    header, *rows = (path / "runs" / "pixels" / "gan" / "log.csv").read_text().splitlines()
    assert {"adversarial", "features", "critic"} < set(header.split(",")) and rows[-1].startswith("2,")


@pytest.mark.parametrize(("section", "value"), [("run", {"seed": 1}), ("gan", {"style": 4})])
def test_what_another_training_was_begun_with_is_refused(path: Path, section: str, value: dict[str, int]) -> None:
    config = load_config(path / "pixels.toml")
    changed = replace(config, **{section: replace(getattr(config, section), **value)})
    with pytest.raises(InputError, match=f"(?s)was begun with another.*{next(iter(value))}"):
        run_stage("gan", changed)


def test_the_bundle_has_one_step_and_is_verified(path: Path) -> None:
    assert call("verify", "out/pixels") == 0
    manifest = Bundle.load("out/pixels").manifest
    assert "SPADE" in manifest.description and manifest.provenance["steps"] == {"gan": 2}
    assert (manifest.schedule.prediction_type, manifest.schedule.alphas_cumprod) == ("sample", (0.0,))
    assert manifest.sampling.steps == 1 and not manifest.can_guide


def test_images_follow_label_map_and_seed(path: Path) -> None:
    common = ("gen", "--bundle", "out/pixels", "--masks", "cohort/cohort.h5", "--n", 3)
    for seed in (0, 1):
        assert call(*common, "--seed", seed, "--out", f"{seed}.h5") == 0
    with open_dataset("0.h5") as one, open_dataset("1.h5") as other:
        assert one.images().shape == (3, 1, 128, 128) and np.array_equal(one.masks(), other.masks())
        assert not np.array_equal(one.images(), other.images())


def test_a_second_step_does_not_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("gen", "--bundle", "out/pixels", "--masks", "cohort/cohort.h5", "--n", 1, "--steps", 2, "--out",
                "more.h5") == 2
    assert "expected 1 to 1, the number of training steps" in capsys.readouterr().err
    assert not Path("more.h5").exists()


def test_the_first_numbers_of_the_noise_decide_the_style() -> None:
    network = SpadeGenerator(1, 3, (16, 16), GanConfig(channels=(8, 8), hidden_channels=4, mask_channels=4, style=5))
    maps = torch.nn.functional.one_hot(torch.randint(0, 3, (1, 16, 16)), 3).permute(0, 3, 1, 2).float()
    noise, time = torch.randn(1, 1, 16, 16), torch.zeros(1)
    late, early = noise.clone(), noise.clone()
    late[..., -1, -1], early[..., 0, 0] = 3.0, 3.0
    image = network.eval()(noise, time, maps)
    assert image.shape == (1, 1, 16, 16) and torch.equal(network(late, time, maps), image)
    assert not torch.equal(network(early, time, maps), image)


def test_a_label_is_its_number_over_255() -> None:
    maps = torch.nn.functional.one_hot(torch.tensor([[[0, 4], [2, 1]]]), 5).permute(0, 3, 1, 2).float()
    found = LabelValueEncoder(5)(maps)
    assert found.shape == (1, 1, 2, 2)
    assert (255 * found).flatten().tolist() == pytest.approx([0, 4, 2, 1], abs=1e-4)


def test_the_number_of_the_label_goes_the_whole_way(path: Path) -> None:
    write_configuration(path, {**VALUE, 'name = "pixels"': 'name = "value"', "out/pixels": "out/value"})
    train("diffusion", "--config", "pixels.toml")
    train("export", "--config", "pixels.toml", "--what", "generator", "--no-torchscript")
    assert call("verify", "out/value") == 0
    manifest = Bundle.load("out/value").manifest
    condition = next(each for each in manifest.graphs["denoiser"].inputs if each.name == "condition")
    assert condition.shape[1:] == (1, 128, 128) and "number of the label in one channel" in manifest.description


@pytest.mark.parametrize(("changes", "message"), [
    ({"[latents]": "[gan]\nchannels = [8, 8]\nstyle = 0\n[latents]"}, "gan.style: found 0, expected at least 1"),
    ({"[latents]": "[gan]\nchannels = [1, 1, 1, 1, 1, 1, 1, 1]\n[latents]"}, "expected multiples of 256: each of"),
    ({**GAN, **VALUE}, r"gan.channels: found \[8, 8\] with the codec identity and the condition mask-value"),
    ({'codec = "identity"': 'codec = "kl"\nchannels = [8, 8]', "latent_channels = 1": "latent_channels = 2", **VALUE},
     "mask_codec.codec: found 'kl', expected 'identity' for the condition mask-value")])
def test_contradictions_are_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(write_configuration(tmp_path, changes))

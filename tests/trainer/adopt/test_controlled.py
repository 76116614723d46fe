"""A bundle with a ControlNet as a run again: it predicts the same, and is trained on, with a reward too."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer import export
from cldm_trainer.adopt.bundle import adopt
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import Config, OptimiserConfig, RewardConfig
from cldm_trainer.training import checkpoint
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import train_short

CHANGES = '[diffusion]\ncondition = "none"\ncondition_dropout = 0.0\n[control]\nchannels = [4, 4, 8]\nbase = "short"\n'


@pytest.fixture(scope="module")
def painting(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """An unconditional run, one that paints on its codecs, and the bundle of that."""
    base = train_short(tmp_path_factory.mktemp("painting"), CHANGES)
    learning = OptimiserConfig(4, 2, 1e-2, warmup_steps=0)  # until no weight of the copy equals the frozen one's
    config = replace(base, run=replace(base.run, name="painting", codecs="short"),
                     diffusion=replace(base.diffusion, condition="painting", condition_dropout=0.1, optimiser=learning))
    run_stage("diffusion", config)
    export.run(config, what="generator")
    return config


def adopted(config: Config, name: str) -> Config:
    """The configuration of a run with the weights of the bundle."""
    again = replace(config, run=replace(config.run, name=name))
    adopt(Design.of(again), again.texture, RunFolder.of(again), Path(config.export.generator))
    return again


def weights(config: Config) -> dict[str, torch.Tensor]:
    return checkpoint.load_tensors(RunFolder.of(config).own("diffusion") / checkpoint.MODEL)


def test_the_run_has_the_weights_of_the_bundle_and_its_frozen_model(painting: Config) -> None:
    base = RunFolder.of(painting).other("short", "diffusion")
    was = checkpoint.load_tensors(base / checkpoint.MODEL)
    shutil.move(base, base.with_name("kept"))
    again = adopted(painting, "again")
    old, new = weights(painting), weights(again)
    assert old.keys() == new.keys() and all(torch.allclose(old[name], new[name], atol=2e-3) for name in old)
    frozen = checkpoint.load_tensors(base / checkpoint.MODEL)
    assert all(torch.allclose(was[name], frozen[name], atol=2e-3) for name in was)
    shutil.rmtree(base)
    shutil.move(base.with_name("kept"), base)


def test_it_is_trained_on_and_the_frozen_model_stays(painting: Config) -> None:
    begun = adopted(painting, "longer")
    before = weights(begun)
    section = RewardConfig(weight=1.0, below=1.0, channels=4, blocks=1, optimiser=OptimiserConfig(1, 2, 1e-3))
    run_stage("diffusion", replace(begun, diffusion=replace(
        begun.diffusion, reward=section, optimiser=replace(begun.diffusion.optimiser, steps=6))))
    after = weights(begun)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed and not any(name.startswith("denoiser.unet.") for name in changed)
    assert any(name.startswith("encoder.") for name in changed)


def test_another_codec_is_refused(painting: Config) -> None:
    folder = RunFolder.of(painting).other("short", "image-codec")
    kept = checkpoint.load_tensors(folder / checkpoint.MODEL)
    checkpoint.save_tensors(folder / checkpoint.MODEL, {name: value + 0.1 for name, value in kept.items()},
                            checkpoint.metadata(folder / checkpoint.MODEL))
    with pytest.raises(InputError, match=r"its image codec is not that of the run short: .* differ"):
        adopted(painting, "refused")
    checkpoint.save_tensors(folder / checkpoint.MODEL, kept, {"step": "2"})

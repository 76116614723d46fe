"""The reward of a diffusion model: what it says of a reading, and that the denoiser learns from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cldm_runtime.errors import InputError
from cldm_trainer.cli import run_stage
from cldm_trainer.conditions.kind import Design
from cldm_trainer.config import OptimiserConfig, RewardConfig
from cldm_trainer.networks.latent_reader import LatentReader
from cldm_trainer.stages import diffusion, reward
from cldm_trainer.stages.config_file import load_config
from cldm_trainer.training import checkpoint
from cldm_trainer.training.run_folder import RunFolder
from short_run_fixtures import SHORT, train_short

LABELS = torch.tensor([[[0, 1], [2, 2]]], dtype=torch.uint8)
EVERYWHERE = torch.ones(1, 2, 2)


def logits_of(labels: torch.Tensor, sure: float = 50.0) -> torch.Tensor:
    return sure * torch.nn.functional.one_hot(labels.long(), 3).permute(0, 3, 1, 2).float()


def test_a_right_reading_costs_nothing() -> None:
    assert reward.reading_loss(logits_of(LABELS), LABELS, EVERYWHERE, [2], 1.0).item() == pytest.approx(0, abs=1e-6)


def test_the_size_of_the_lesion_counts_by_its_weight() -> None:
    """Half of the lesion is missed: one of four pixels is wrong, and the lesion is a quarter of the image smaller."""
    read = logits_of(torch.tensor([[[0, 1], [2, 1]]]))
    without, with_size = (reward.reading_loss(read, LABELS, EVERYWHERE, [2], weight).item() for weight in (0.0, 4.0))
    assert without == pytest.approx(50 / 4) and with_size == pytest.approx(50 / 4 + 4 * 0.25)


def test_only_the_places_that_count_are_read() -> None:
    counted = EVERYWHERE.clone()
    counted[0, 1, 1] = 0
    read = logits_of(torch.tensor([[[0, 1], [2, 1]]]))
    assert reward.reading_loss(read, LABELS, counted, [2], 1.0).item() == pytest.approx(0, abs=1e-6)


def test_the_reader_sees_latents_and_says_labels_of_pixels() -> None:
    assert LatentReader(3, 8, 1, 5, 4, 2)(torch.zeros(2, 3, 8, 8)).shape == (2, 5, 32, 32)
    assert LatentReader(3, 8, 1, 5, 2, 3)(torch.zeros(2, 3, 4, 4, 4)).shape == (2, 5, 8, 8, 8)


@pytest.mark.parametrize(("line", "message"), [
    ("below = 1.5", "diffusion.reward.below: found 1.5, expected a share of the timesteps"),
    ("weight = -1", "diffusion.reward.weight: found -1, expected 0 or more"),
    ("blocks = 0", "diffusion.reward: found 48 channels and 0 blocks")])
def test_faults_are_told(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "bad.toml").write_text(SHORT + f"[diffusion.reward]\n{line}\n")
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "bad.toml")


def test_the_denoiser_learns_from_a_frozen_reader(tmp_path: Path) -> None:
    plain = train_short(tmp_path)
    section = RewardConfig(weight=5.0, below=1.0, channels=4, blocks=1, optimiser=OptimiserConfig(2, 2, 1e-3))
    rewarded = replace(plain, run=replace(plain.run, name="rewarded", codecs="short"),
                       diffusion=replace(plain.diffusion, reward=section))
    run_stage("diffusion", rewarded)
    runs = [RunFolder.of(config) for config in (plain, rewarded)]
    first, second = (checkpoint.load_tensors(run.own("diffusion") / checkpoint.MODEL) for run in runs)
    assert any(not torch.equal(first[name], second[name]) for name in first)
    task = diffusion.make_task(Design.of(rewarded), runs[1])
    with torch.no_grad():
        figures = task.validate(task.model, torch.device("cpu"))
    read = [figures[f"reward_eighth_{eighth}"] for eighth in (1, 8)]
    assert min(read) > 0 and task.reward is not None
    assert not any(parameter.requires_grad for parameter in task.reward.reader.parameters())
    kept = checkpoint.load_tensors(runs[1].own(reward.STAGE) / checkpoint.MODEL)
    assert all(torch.equal(kept[name], value) for name, value in task.reward.reader.state_dict().items())

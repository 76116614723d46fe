"""The training loop: averages, rates, interruption and resumption."""

import csv
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cldm_runtime.errors import InputError, InterruptedRun
from cldm_trainer.config import OptimiserConfig
from cldm_trainer.training import checkpoint
from cldm_trainer.training.loop import MovingAverage, Step, learning_rate, train
from line_training import RUN, SHORT, Line


def weights(folder: Path) -> dict[str, Tensor]:
    return checkpoint.load_tensors(folder / checkpoint.MODEL)


def test_moving_average_by_hand() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.constant_(module.weight, 1.0)
    average = MovingAverage(module, decay=0.5)
    nn.init.constant_(module.weight, 2.0)
    average.update(module, step=0)  # decay 1/10
    assert average.module.weight.item() == pytest.approx(1.9)
    average.update(module, step=1000)  # decay 0.5
    assert average.module.weight.item() == pytest.approx(1.95)


def test_a_moving_average_takes_buffers_as_they_are() -> None:
    module = nn.BatchNorm1d(1)
    average = MovingAverage(module, decay=0.5)
    nn.init.constant_(module.running_mean, 3.0)
    average.update(module, step=1000)
    assert average.module.running_mean.item() == 3.0 and not average.module.training


class Watched(Line):
    """Keeps its weight before each step."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def loss(self, model: nn.Module, critic: nn.Module | None, step: Step) -> tuple[Tensor, dict[str, Tensor]]:
        self.seen.append(self.model.weight.item())
        return super().loss(model, critic, step)


def test_what_is_saved_is_the_moving_average(tmp_path: Path) -> None:
    task = Watched()
    train(lambda: task, SHORT, RUN, tmp_path / "run", {})
    expected, *later = *task.seen, task.model.weight.item()
    for step, weight in enumerate(later):
        share = (1 + step) / (10 + step)  # below the decay of 0.999
        expected = share * expected + (1 - share) * weight
    assert weights(tmp_path / "run")["weight"].item() == pytest.approx(expected)
    assert abs(later[-1] - expected) > 0.01


def test_learning_rate_warms_up_and_follows_a_cosine() -> None:
    config = OptimiserConfig(steps=110, batch_size=1, learning_rate=1.0, warmup_steps=10, final_rate=0.2)
    rates = [learning_rate(config, step, 1.0) for step in (0, 9, 10, 60, 110)]
    assert rates == pytest.approx([0.1, 1.0, 1.0, 0.6, 0.2])


def test_a_stopped_run_ends_like_an_uninterrupted_one(tmp_path: Path) -> None:
    train(Line, SHORT, RUN, tmp_path / "whole", {})
    with pytest.raises(InterruptedRun, match="stopped at step 5 of 6"):
        train(lambda: Line(stop_at=4), SHORT, RUN, tmp_path / "parts", {})
    train(Line, SHORT, RUN, tmp_path / "parts", {})
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[key], parts[key]) for key in whole)


def test_a_finished_stage_does_not_even_load_its_task(tmp_path: Path) -> None:
    def refuse() -> Line:
        raise AssertionError("the task was made")

    train(Line, SHORT, RUN, tmp_path / "run", {})
    train(refuse, SHORT, RUN, tmp_path / "run", {})


def test_another_configuration_is_refused_but_more_steps_are_not(tmp_path: Path) -> None:
    train(Line, SHORT, RUN, tmp_path / "run", {"rate": 1.0, "optimiser": {"steps": 6}, "steps": 2})
    with pytest.raises(InputError, match=r"rate: was 1\.0, is now 2\.0"):
        train(Line, SHORT, RUN, tmp_path / "run", {"rate": 2.0, "optimiser": {"steps": 6}, "steps": 2})
    train(Line, SHORT, RUN, tmp_path / "run", {"rate": 1.0, "optimiser": {"steps": 9}, "steps": 2})
    with pytest.raises(InputError, match="steps: was 2, is now 4"):  # of a student, say: a setting like any other
        train(Line, SHORT, RUN, tmp_path / "run", {"rate": 1.0, "optimiser": {"steps": 9}, "steps": 4})


def test_files_of_a_stage(tmp_path: Path) -> None:
    train(Line, SHORT, RUN, tmp_path / "run", {"seed": 0})
    with (tmp_path / "run" / "log.csv").open(newline="") as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == [1, 2, 3, 4, 5, 6]
    assert (tmp_path / "run" / "samples" / "0000006.png").read_bytes()[1:4] == b"PNG"
    assert torch.load(tmp_path / "run" / "state.pt", weights_only=True)["step"] == 6
    assert checkpoint.metadata(tmp_path / "run" / "model.safetensors") == {"step": "6"}


def test_log_rows_beyond_the_checkpoint_are_dropped(tmp_path: Path) -> None:
    with pytest.raises(InterruptedRun):
        train(lambda: Line(stop_at=2), SHORT, RUN, tmp_path / "run", {})
    with (tmp_path / "run" / "log.csv").open("a") as stream:
        stream.write("4,0,0,0,0,0,0\n")
    train(Line, SHORT, RUN, tmp_path / "run", {})
    with (tmp_path / "run" / "log.csv").open(newline="") as stream:
        assert [int(row["step"]) for row in csv.DictReader(stream)] == [1, 2, 3, 4, 5, 6]
